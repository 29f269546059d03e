/** A promise with its two ends in one hand, for results that come by callback. */
export class Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void

  constructor() {
    let resolve: (value: T | PromiseLike<T>) => void = () => {}
    let reject: (reason: unknown) => void = () => {}
    this.promise = new Promise<T>((onResolve, onReject) => {
      resolve = onResolve
      reject = onReject
    })
    this.resolve = resolve
    this.reject = reject
  }
}
