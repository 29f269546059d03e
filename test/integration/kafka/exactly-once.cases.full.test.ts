/** Lost output, copied jobs, savepoints: with the transactions of Kafka 3. */
import { lostOutputCases } from '../../support/kafka/lost-output-cases.ts'

lostOutputCases(0)
