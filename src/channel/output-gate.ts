/**
 * Whether all outputs of a subtask have room. One per subtask, shared by its outputs and asked by its loops after each record.
 *
 * Invariant: closed exactly while some output holds elements that its channel has not taken yet.
 */
export class OutputGate {
  isClosed = false
  #blockedCount = 0

  /** An output began to hold elements back. */
  block(): void {
    this.#blockedCount += 1
    this.isClosed = true
  }

  /** An output has handed on all it held back. */
  unblock(): void {
    this.#blockedCount -= 1
    this.isClosed = this.#blockedCount > 0
  }
}
