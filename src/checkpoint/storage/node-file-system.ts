/** The real file system. */
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import type { FileSystem } from './file-system.ts'

export const nodeFileSystem: FileSystem = {
  async makeDirectory(path) {
    await fs.mkdir(path, { recursive: true })
  },

  async list(path) {
    try {
      return (await fs.readdir(path)).sort()
    } catch (error) {
      // no directory, no names: callers look for what is there
      if (isMissing(error)) return []
      throw error
    }
  },

  read: (path) => fs.readFile(path),

  write: (path, bytes) => fs.writeFile(path, bytes),

  append: (path, bytes) => fs.appendFile(path, bytes),

  async sync(path) {
    const file = await fs.open(path, 'r')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  },

  link: (from, to) => fs.link(from, to),

  async copy(from, to, bytes) {
    await fs.copyFile(from, to, constants.COPYFILE_EXCL)
    if (bytes !== undefined) await fs.truncate(to, bytes)
  },

  async size(path) {
    try {
      return (await fs.stat(path)).size
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  },

  identity: async (path) => String((await fs.stat(path, { bigint: true })).ino),

  remove: (path) => fs.rm(path, { recursive: true, force: true }),
}

/** Whether nothing is there, be it that a name above it is no directory. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof Error && 'code' in error)) return false
  return error.code === 'ENOENT' || error.code === 'ENOTDIR'
}
