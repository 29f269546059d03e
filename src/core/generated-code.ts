/**
 * Functions with source text of their own.
 *
 * V8 keeps type feedback by source text: a loop that calls "the next operator" from many places with one text sees many
 * targets, turns megamorphic and costs ten times as much a record (3 ns against 35 ns). So the glue around each operator
 * instance is generated with a text nobody else has. The text comes from templates of ours only; user functions are bound
 * by name and called, never re-parsed. Where code generation is disallowed, callers fall back to plain closures.
 */
let generatedCount = 0
let isAllowed: boolean | undefined

/** Whether functions can be made from text in this process (`--disallow-code-generation-from-strings` forbids it). */
export function canGenerateCode(): boolean {
  if (isAllowed === undefined) {
    try {
      // oxlint-disable-next-line typescript/no-implied-eval -- the one place where code is made of text
      isAllowed = (new Function('return true') as () => boolean)()
    } catch {
      // an EvalError: the process was started without code generation, and everything has a slower way
      isAllowed = false
    }
  }
  return isAllowed
}

/**
 * The value of `body`, the text of a function body, with `bindings` as its free names. `title` is shown in profiles.
 * Call only where `canGenerateCode`.
 */
export function generate<T>(
  title: string,
  bindings: Readonly<Record<string, unknown>>,
  body: string,
): T {
  generatedCount += 1
  const label = title.replaceAll(/[^\w .:-]/g, '_')
  const text = `"use strict"; /* ${label} #${generatedCount} */\n${body}\n//# sourceURL=millrace/${label}-${generatedCount}.js`
  // oxlint-disable-next-line typescript/no-implied-eval -- the one place where code is made of text
  const make = new Function(...Object.keys(bindings), text) as (...args: unknown[]) => T
  return make(...Object.values(bindings))
}
