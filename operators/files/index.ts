/** The entry point `millrace/files`: lines of files as a source, and as an exactly-once sink. */
export { fileSink } from './file-sink.ts'
export type { FileSinkOptions } from './file-sink.ts'
export { fileSource } from './file-source.ts'
export type { FileSourceOptions } from './file-source.ts'
