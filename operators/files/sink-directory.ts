/**
 * The directory of a file sink: all its dealings with the disk, so that the rest can be tested against one that fails.
 * Names are those of files directly in it. Errors are the file system's own.
 */
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { access, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

export interface SinkDirectory {
  /** Absolute. */
  readonly path: string
  /** Makes the directory where it is missing, so that it survives a crash; fails where nothing can be written to it. */
  make(): Promise<void>
  /** A new file; fails where there is one of that name. */
  create(name: string): Promise<SinkFile>
  /** Whether it survives a crash is settled by `sync`. */
  rename(from: string, to: string): Promise<void>
  /** It is no error if there is none. */
  remove(name: string): Promise<void>
  /** Undefined where there is none. */
  sizeOf(name: string): Promise<number | undefined>
  list(): Promise<readonly string[]>
  /** The names in it survive a crash. */
  sync(): Promise<void>
}

/** A file that is written from its beginning to its end. */
export interface SinkFile {
  /** Appends all of `bytes`. */
  write(bytes: Uint8Array): Promise<void>
  /** What was written survives a crash. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** A directory of the file system. */
export function directoryAt(path: string): SinkDirectory {
  const absolute = resolve(path)
  const at = (name: string): string => join(absolute, name)
  return {
    path: absolute,
    make: () => makeDirectory(absolute),
    create: async (name) => new AppendedFile(await open(at(name), 'wx')),
    rename: (from, to) => rename(at(from), at(to)),
    remove: (name) => rm(at(name), { force: true }),
    async sizeOf(name) {
      try {
        return (await stat(at(name))).size
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    list: () => readdir(absolute),
    sync: () => syncDirectory(absolute),
  }
}

/** Whether an error of the file system says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

class AppendedFile implements SinkFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(bytes: Uint8Array): Promise<void> {
    let written = 0
    while (written < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written)
      written += bytesWritten
    }
  }

  sync(): Promise<void> {
    return this.#handle.sync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first !== undefined) {
    // each new directory is an entry of the one above it
    for (let made = path; ; made = dirname(made)) {
      await syncDirectory(dirname(made))
      if (made === first || made === dirname(made)) break
    }
  }
  await access(path, constants.W_OK | constants.X_OK)
}

async function syncDirectory(path: string): Promise<void> {
  // Windows opens no directories, and keeps their entries by itself
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
