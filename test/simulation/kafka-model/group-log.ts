/**
 * The offsets of one consumer group: those that count, and those that transactions have written and that have not ended.
 *
 * Invariant: of two offsets that were committed, the one that was written last counts, in whatever order they became visible.
 */
import type { Marker, ProducerIdentity } from '../../../operators/kafka/kafka-client.ts'
import { code } from './codes.ts'

interface Written extends Marker {
  readonly order: number
}

export class GroupLog {
  readonly #visible = new Map<string, Written>()
  readonly #pending = new Map<bigint, Map<string, Written>>()
  readonly #epochs = new Map<bigint, number>()
  #order = 0

  hasOngoing({ producerId, epoch }: ProducerIdentity): boolean {
    return this.#pending.has(producerId) && this.#epochs.get(producerId) === epoch
  }

  commit(partition: string, marker: Marker): void {
    this.#visible.set(partition, { ...marker, order: ++this.#order })
  }

  /** An offset that counts when its transaction is committed. */
  write({ producerId, epoch }: ProducerIdentity, partition: string, marker: Marker): number {
    if (epoch < (this.#epochs.get(producerId) ?? -1)) return code.invalidProducerEpoch
    this.#epochs.set(producerId, epoch)
    const own = this.#pending.get(producerId) ?? new Map<string, Written>()
    own.set(partition, { ...marker, order: ++this.#order })
    this.#pending.set(producerId, own)
    return code.none
  }

  /** Answers what the transaction had here. */
  appendEnd({ producerId, epoch }: ProducerIdentity, end: 'commit' | 'abort'): readonly Marker[] {
    const own = this.#pending.get(producerId)
    this.#pending.delete(producerId)
    this.#epochs.set(producerId, Math.max(epoch, this.#epochs.get(producerId) ?? -1))
    for (const [partition, written] of end === 'abort' ? [] : (own ?? [])) {
      if ((this.#visible.get(partition)?.order ?? 0) < written.order) {
        this.#visible.set(partition, written)
      }
    }
    return [...(own?.values() ?? [])]
  }

  read(partition: string): Marker | undefined {
    return this.#visible.get(partition)
  }

  isUnstable(partition: string): boolean {
    return [...this.#pending.values()].some((own) => own.has(partition))
  }
}
