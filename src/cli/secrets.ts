/**
 * Keeps secrets out of what a command says: passwords in addresses, the token of HTTP, and parameters of the job whose names say
 * that they are secret. The engine does not say such things by itself; a library's error might. Pure.
 */

/** Shorter values would blot out half of the log. */
const LENGTH_MIN = 6
const secretName = /pass(?:word|wd|phrase)?$|secret|token|credential|private.?key|api.?key|sasl/i
const inAddress = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi

export class Secrets {
  readonly #values = new Set<string>()

  add(value: string | undefined): void {
    if (value !== undefined && value.length >= LENGTH_MIN) this.#values.add(value)
  }

  /** The values of parameters, however deep, whose name, or that of what they stand in, is that of a secret. */
  addParams(params: unknown): void {
    this.#walk(params, false)
  }

  /** The same text without them. */
  hide(text: string): string {
    let hidden = text.replaceAll(inAddress, '$1***@')
    for (const value of this.#values) hidden = hidden.replaceAll(value, '***')
    return hidden
  }

  #walk(value: unknown, isSecret: boolean): void {
    if (isSecret && (typeof value === 'string' || typeof value === 'number'))
      this.add(String(value))
    if (typeof value !== 'object' || value === null) return
    for (const [name, inner] of Object.entries(value)) {
      this.#walk(inner, (isSecret && !isPlain(name)) || secretName.test(name))
    }
  }
}

/** What stands beside a password in `sasl` and is no secret. */
function isPlain(name: string): boolean {
  return name === 'mechanism' || name === 'username' || name === 'user'
}
