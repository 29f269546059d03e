/** What the engine and the commands say, as lines on standard error: time, level, text, fields. */
import type { LogFields, Logger } from '../core/log.ts'
import type { EngineError } from '../core/errors.ts'
import { Secrets } from './secrets.ts'
import type { LogFormat, LogLevel } from './settings.ts'

/** The log of a command: text until it is known what it is to be. */
export class CommandLog implements Logger {
  readonly secrets: Secrets = new Secrets()
  #to: Logger

  constructor(write: (text: string) => void, now: () => Date) {
    this.#to = lineLogger((text) => write(this.secrets.hide(text)), now)
  }

  async use({ format, level }: { format?: LogFormat; level?: LogLevel }): Promise<void> {
    if (format === 'json') {
      const { jsonLogger } = await import('./json-log.ts')
      this.#to = jsonLogger((text) => this.secrets.hide(text))
    }
    this.#to = fromLevel(this.#to, level ?? 'info')
  }

  info(text: string, fields?: LogFields): void {
    this.#to.info(text, fields)
  }

  warn(text: string, fields?: LogFields): void {
    this.#to.warn(text, fields)
  }

  error(text: string, fields?: LogFields): void {
    this.#to.error(text, fields)
  }
}

function fromLevel(logger: Logger, level: LogLevel): Logger {
  if (level === 'info') return logger
  return {
    info: (): void => {},
    warn: (text, fields) => {
      if (level === 'warn') logger.warn(text, fields)
    },
    error: (text, fields) => logger.error(text, fields),
  }
}

export function lineLogger(write: (text: string) => void, now: () => Date): Logger {
  const say = (level: string, text: string, fields: LogFields | undefined): void => {
    const list = Object.entries(fields ?? {})
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${String(value)}`)
    write(`${now().toISOString()} ${level} ${text}${list.join('')}\n`)
  }
  return {
    info: (text, fields) => say('info ', text, fields),
    warn: (text, fields) => say('warn ', text, fields),
    error: (text, fields) => say('error', text, fields),
  }
}

/** An error as it ends a command: code, text, and where the cause lies in somebody's source if that is what one has to look at. */
export function errorText(error: EngineError): string {
  const cause = isOfSource(error) ? causeText(error.cause) : undefined
  return `${error.code}: ${error.message}${cause === undefined ? '' : `\n${cause}`}`
}

function isOfSource({ code }: EngineError): boolean {
  return code === 'USER_FUNCTION_FAILED' || code === 'JOB_MODULE_INVALID' || code === 'UNEXPECTED'
}

function causeText(cause: unknown): string | undefined {
  return cause instanceof Error ? cause.stack : undefined
}
