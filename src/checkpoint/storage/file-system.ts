/**
 * The few things checkpoints need of a file system, so that the same storage code runs on a real disk and on the simulated one that
 * loses what was not synced.
 *
 * Contract
 *  - `write` and `append` are durable only after `sync` of the file; names (created, linked, removed) only after `sync` of
 *    their directory.
 *  - Errors are the system's, with `code` (`ENOENT`, `EEXIST`, ...).
 */
export interface FileSystem {
  makeDirectory(path: string): Promise<void>
  /** Names in a directory, in order; none if it does not exist. */
  list(path: string): Promise<string[]>
  read(path: string): Promise<Uint8Array>
  /** Makes or replaces a file. */
  write(path: string, bytes: Uint8Array): Promise<void>
  /** Adds to the end of a file, making it if need be. */
  append(path: string, bytes: Uint8Array): Promise<void>
  /** Makes a file or a directory's names durable. */
  sync(path: string): Promise<void>
  /** A further name for a file, which must not exist yet (`EEXIST`). On another file system it fails with `EXDEV`. */
  link(from: string, to: string): Promise<void>
  /** Copies the first `bytes` of a file (default: all) under a name that must not exist. */
  copy(from: string, to: string, bytes?: number): Promise<void>
  /** Bytes of a file; undefined if it does not exist. */
  size(path: string): Promise<number | undefined>
  /**
   * What tells a file or directory from a copy of it, and stays when it is renamed. Left out where nothing does: then every
   * directory counts as the original.
   */
  identity?(path: string): Promise<string>
  /** Removes a file or a directory with all it holds; nothing happens if it does not exist. */
  remove(path: string): Promise<void>
}
