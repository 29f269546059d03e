/** The model as a stage for scripts: one broker that answers at once, and a clock that moves when somebody waits. */
import { asSpoken } from '../../../operators/kafka/broker-link.ts'
import type { BrokerLink } from '../../../operators/kafka/broker-link.ts'
import { ProtocolReader } from '../../../operators/kafka/protocol-bytes.ts'
import { ManualTime } from '../../../src/testing/manual-time.ts'
import { answerOf, speechOf } from './broker-model.ts'
import { ClusterModel } from './cluster-model.ts'
import type { Stage } from './transaction-script.ts'

export function modelStage(version: 0 | 2): Stage {
  const time = new ManualTime()
  const work: (() => void)[] = []
  const cluster = new ClusterModel({
    version,
    brokerCount: 1,
    later: (_what, run) => void work.push(run),
    after: (delayMs, run) => time.scheduler.after(delayMs, run),
  })
  cluster.addTopic('scripts', 2)
  const speech = speechOf(cluster)
  const link: BrokerLink = {
    async send(request) {
      const spoken = asSpoken(request, speech, 'model')
      const answer = answerOf(cluster, 1, spoken, spoken.encode())
      return spoken.decode(new ProtocolReader(answer)).body
    },
    speaks: async () => true,
    close: () => {},
  }
  return {
    link,
    topic: 'scripts',
    firstPartition: 0,
    prefix: 'script',
    async wait(ms) {
      for (const run of work.splice(0)) run()
      time.nowMs += ms
      time.runDue()
    },
  }
}
