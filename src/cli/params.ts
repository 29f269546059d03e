/** Parameters of a job as text: JSON, or one by one as `key=text` and `key:=JSON`. Mistakes show no value: it may be secret. Pure. */

export type ParsedParams =
  | { readonly params: Readonly<Record<string, unknown>>; readonly mistake?: undefined }
  | { readonly mistake: string }

const FORMS = `write {"key": value}, key=text or key:=JSON`

/** The parameters in one text. */
export function parseParams(text: string): ParsedParams {
  return text.trimStart().startsWith('{') ? parseObject(text) : parsePair(text)
}

/** Parameters as a config file or JSON has them: an object. */
export function isParams(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseObject(text: string): ParsedParams {
  const value = parseJson(text)
  return isParams(value)
    ? { params: value }
    : { mistake: `what begins with '{' is not valid JSON; ${FORMS}` }
}

function parsePair(text: string): ParsedParams {
  const match = /^([^=:\s][^=:]*)(:?=)(.*)$/s.exec(text)
  const [, key, sign, value] = match ?? []
  if (key === undefined || value === undefined) {
    const shown = text.includes('=') ? 'what has no name' : `'${text}'`
    return { mistake: `${shown} is no parameter; ${FORMS}` }
  }
  if (sign === '=') return { params: { [key]: value } }
  const parsed = parseJson(value)
  return parsed === undefined
    ? { mistake: `'${key}:=…': the value is not valid JSON; write ${key}=… for text` }
    : { params: { [key]: parsed } }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // the caller says what it should have been
    return undefined
  }
}
