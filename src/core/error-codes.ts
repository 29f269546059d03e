/**
 * Every error code of the engine, with who must act and whether a restart can help. docs/errors.md tells the cause and the
 * remedy of each; a test holds the two complete.
 */
export const errorCodes = {
  // building a job
  JOB_INVALID: 'job',
  UID_MISSING: 'job',
  UID_TWICE: 'job',
  UID_INVALID: 'job',
  GRAPH_CYCLE: 'job',
  GRAPH_NO_SOURCE: 'job',
  GRAPH_NO_SINK: 'job',
  DEAD_LETTERS_UNREAD: 'job',
  RETRACTIONS_REFUSED: 'job',
  STREAM_OF_OTHER_JOB: 'job',
  PARALLELISM_INVALID: 'job',
  PARALLELISM_ABOVE_MAX: 'job',
  FORWARD_PARALLELISM: 'job',
  DURATION_INVALID: 'job',
  OPTION_INVALID: 'job',
  PARAMS_INVALID: 'job',
  SCHEMA_ASYNC: 'job',
  GRAPH_DIFFERS: 'job',
  JOB_MODULE_INVALID: 'job',
  THREADS_NEED_MODULE: 'job',

  // records
  KEY_INVALID: 'job',
  VALUE_UNSUPPORTED: 'job',
  TIMESTAMP_INVALID: 'job',
  PARTITION_OUT_OF_RANGE: 'job',
  USER_FUNCTION_FAILED: 'job, retryable',
  ASYNC_FUNCTION: 'job',
  OUTPUT_OVERFLOW: 'job',
  RETRACTION_UNKNOWN: 'job',
  RECORD_UNDECODABLE: 'job',
  STATE_NO_KEY: 'job',
  STATE_READ_ONLY: 'job',

  // checkpoints, savepoints, restore
  CHECKPOINT_TIMEOUT: 'engine, retryable',
  CHECKPOINT_FAILED: 'engine, retryable',
  CHECKPOINT_FAILURES_EXCEEDED: 'engine, retryable',
  CHECKPOINT_CORRUPT: 'environment',
  CHECKPOINT_DIRECTORY_NOT_EMPTY: 'environment',
  CHECKPOINT_DIRECTORY_IN_USE: 'environment',
  CHECKPOINT_DIRECTORY_UNUSABLE: 'environment',
  CHECKPOINT_OF_OTHER_JOB: 'environment',
  CHECKPOINTS_NOT_CONFIGURED: 'environment',
  FENCED: 'environment',
  SAVEPOINT_NOT_FOUND: 'environment',
  SAVEPOINT_CORRUPT: 'environment',
  SAVEPOINT_MISMATCH: 'job',
  SAVEPOINT_FAILED: 'engine, retryable',
  MAX_PARALLELISM_CHANGED: 'job',
  OUTPUT_LOST: 'environment',
  OUTPUT_UNKNOWN: 'environment',
  OUTPUT_PARTLY_COMMITTED: 'environment',
  OUTPUT_OF_OTHER_JOB: 'environment',
  STATE_STORAGE_FAILED: 'environment, retryable',

  // running
  WORKER_LOST: 'engine, retryable',
  WORKER_STUCK: 'job, retryable',
  RESTARTS_EXHAUSTED: 'engine',
  JOB_CANCELLED: 'environment',
  JOB_NOT_RUNNING: 'environment',
  COMMIT_FAILED: 'environment, retryable',
  INVARIANT_BROKEN: 'engine',
  UNEXPECTED: 'engine, retryable',

  // commands and configuration
  CONFIG_INVALID: 'environment',
  CONTROL_UNREACHABLE: 'environment',
  CONTROL_REFUSED: 'environment',

  // connectors
  SOURCE_FAILED: 'environment, retryable',
  SINK_FAILED: 'environment, retryable',
  FILE_NOT_FOUND: 'environment',
  FILE_CHANGED: 'environment',
  SCHEMA_REGISTRY_FAILED: 'environment, retryable',
  KAFKA_UNREACHABLE: 'environment, retryable',
  KAFKA_TOPIC_UNKNOWN: 'environment',
  KAFKA_OFFSET_OUT_OF_RANGE: 'environment',
  KAFKA_NOT_AUTHORIZED: 'environment',
  KAFKA_TIMEOUT_REFUSED: 'job',
  KAFKA_CLIENT_LIMITED: 'environment',
  KAFKA_TRANSACTION_LOST: 'environment, retryable',
  KAFKA_FAILED: 'environment, retryable',
} as const

/** A code of `docs/errors.md`. */
export type ErrorCode = keyof typeof errorCodes
