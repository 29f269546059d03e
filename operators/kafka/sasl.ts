/**
 * How a connection logs in, as kafkajs wants it.
 *
 * Tokens are sent by an authenticator of our own: that of kafkajs 2.2.4 does not look at the broker's answer, and a refused token
 * (RFC 7628: an answer that is not empty) comes out as a connection that breaks for no reason.
 */
import { EngineError } from '../../src/core/errors.ts'
import type { KafkaConnection } from './kafka-connection.ts'

/** What kafkajs calls to log in. */
interface AuthenticatorOptions {
  readonly saslAuthenticate: (exchange: {
    readonly request: { encode(): Promise<Buffer> }
    readonly response: {
      decode(answer: Buffer): Promise<Buffer>
      parse(decoded: Buffer): Promise<Buffer>
    }
  }) => Promise<Buffer>
}

/** A new object for each connection: kafkajs keeps state in it. `broker` is for errors. */
export function saslOf(sasl: NonNullable<KafkaConnection['sasl']>, broker: string): object {
  if (sasl.mechanism !== 'oauthbearer') return { ...sasl }
  const { mechanism, token } = sasl
  return {
    mechanism,
    authenticationProvider: ({ saslAuthenticate }: AuthenticatorOptions) => ({
      async authenticate() {
        const message = Buffer.from(`n,,\u0001auth=Bearer ${await tokenFrom(token)}\u0001\u0001`)
        const answer = await saslAuthenticate({
          request: { encode: async () => withLength(message) },
          response: {
            decode: async (bytes) => withoutLength(bytes),
            parse: async (decoded) => decoded,
          },
        })
        if (answer.length === 0) return
        throw new EngineError(
          'KAFKA_NOT_AUTHORIZED',
          `The broker ${broker} refused the token: ${answer.toString()}; see to what sasl.token gives`,
        )
      },
    }),
  }
}

async function tokenFrom(token: () => string | Promise<string>): Promise<string> {
  try {
    return await token()
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new EngineError('KAFKA_NOT_AUTHORIZED', `sasl.token gave no token: ${text}`, {
      cause,
      retryable: true,
    })
  }
}

function withLength(message: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(message.length)
  return Buffer.concat([length, message])
}

/** Null counts as empty. */
function withoutLength(bytes: Buffer): Buffer {
  return bytes.length <= 4 ? Buffer.alloc(0) : bytes.subarray(4)
}
