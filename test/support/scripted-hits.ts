/** Random scripts of hits, watermarks and time that passes, for test sources. */
import fc from 'fast-check'
import { testSource } from 'millrace/testing'
import type { TestSource } from 'millrace/testing'

export interface Hit {
  readonly user: string
  /** From 1, in the order of the script. */
  readonly n: number
}

export type Action =
  | { readonly kind: 'emit'; readonly records: readonly (readonly [user: string, atMs: number])[] }
  | { readonly kind: 'watermark'; readonly byMs: number }
  | { readonly kind: 'advance'; readonly byMs: number }

export function anyActions(options: {
  readonly users: readonly string[]
  /** Of one step. */
  readonly recordsMax: number
  readonly actionsMin: number
}): fc.Arbitrary<Action[]> {
  const { users, recordsMax, actionsMin } = options
  return fc.array(
    fc.oneof(
      fc
        .array(fc.tuple(fc.constantFrom(...users), fc.integer({ min: -50, max: 250 })), {
          minLength: 1,
          maxLength: recordsMax,
        })
        .map((records): Action => ({ kind: 'emit', records })),
      fc.integer({ min: 1, max: 60 }).map((byMs): Action => ({ kind: 'watermark', byMs })),
      fc.integer({ min: 1, max: 60 }).map((byMs): Action => ({ kind: 'advance', byMs })),
    ),
    { minLength: actionsMin, maxLength: 14 },
  )
}

/** `isOpen`: the script has no end, so windows that have not ended do not fire. */
export function scripted(actions: readonly Action[], isOpen = false): TestSource<Hit> {
  const source = testSource<Hit>()
  let watermarkMs = -100
  let nowMs = 0
  let n = 0
  for (const action of actions) {
    if (action.kind === 'emit') {
      source.emit(
        ...action.records.map(([user, timestampMs]) => ({ value: { user, n: ++n }, timestampMs })),
      )
    } else if (action.kind === 'watermark') {
      source.watermark((watermarkMs += action.byMs))
    } else {
      source.advanceTo((nowMs += action.byMs))
    }
  }
  return isOpen ? source : source.end()
}
