/** Lost output, copied jobs, savepoints: with the transactions of Kafka 4. Those of Kafka 3: exactly-once.cases.full.test.ts. */
import { lostOutputCases } from '../../support/kafka/lost-output-cases.ts'

lostOutputCases(2)
