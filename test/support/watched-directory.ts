/** A real directory whose dealings with the disk can be held up, counted and made to fail. */
import { directoryAt } from '../../operators/files/sink-directory.ts'
import type { SinkDirectory, SinkFile } from '../../operators/files/sink-directory.ts'

export type DiskOperation =
  'make' | 'create' | 'write' | 'sync file' | 'close' | 'rename' | 'remove' | 'list' | 'sync'

/** Called before each operation; what it throws is what the operation fails with. `name` is empty for the directory. */
export type DiskHook = (operation: DiskOperation, name: string) => void | Promise<void>

/** An error as the file system makes it. */
export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: the disk says no`), { code })
}

export function watchedDirectory(path: string, hook: DiskHook): SinkDirectory {
  const directory = directoryAt(path)
  return {
    path: directory.path,
    async make() {
      await hook('make', '')
      await directory.make()
    },
    async create(name) {
      await hook('create', name)
      return watchedFile(await directory.create(name), name, hook)
    },
    async rename(from, to) {
      await hook('rename', from)
      await directory.rename(from, to)
    },
    async remove(name) {
      await hook('remove', name)
      await directory.remove(name)
    },
    sizeOf: (name) => directory.sizeOf(name),
    async list() {
      await hook('list', '')
      return directory.list()
    },
    async sync() {
      await hook('sync', '')
      await directory.sync()
    },
  }
}

function watchedFile(file: SinkFile, name: string, hook: DiskHook): SinkFile {
  return {
    async write(bytes) {
      await hook('write', name)
      await file.write(bytes)
    },
    async sync() {
      await hook('sync file', name)
      await file.sync()
    },
    async close() {
      await file.close()
      await hook('close', name)
    },
  }
}
