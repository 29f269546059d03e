/**
 * A disk that keeps its promises and nothing more: what was not synced may be lost, or half of it, when the machine crashes.
 *
 * A file's content survives as it was at its last `sync`, or as anything between that and what was written; a name survives if
 * its directory was synced after it was made, else by chance. Every operation takes its turn in the world's schedule.
 */
import { dirname } from 'node:path'
import type { FileSystem } from '../../src/checkpoint/storage/file-system.ts'
import type { Random } from './random.ts'

interface FileNode {
  readonly kind: 'file'
  bytes: Buffer
  synced: Buffer
}

interface DirectoryNode {
  readonly kind: 'directory'
}

type Node = FileNode | DirectoryNode

/** Runs an operation when its turn has come, or fails it. */
export type Turn = <T>(what: string, operation: () => T) => Promise<T>

export class SimulatedDisk {
  #names = new Map<string, Node>([['/', { kind: 'directory' }]])
  #durableNames = new Map<string, Node>([['/', { kind: 'directory' }]])
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** The disk as one process sees it. */
  view(turn: Turn): FileSystem {
    return {
      makeDirectory: (path) => turn(`mkdir ${path}`, () => this.#makeDirectory(path)),
      list: (path) => turn(`list ${path}`, () => this.#list(path)),
      read: (path) => turn(`read ${path}`, () => Buffer.from(this.#file(path).bytes)),
      write: (path, bytes) => turn(`write ${path}`, () => this.#write(path, Buffer.from(bytes))),
      append: (path, bytes) =>
        turn(`append ${path}`, () => {
          const before = this.#names.has(path) ? this.#file(path).bytes : Buffer.alloc(0)
          this.#write(path, Buffer.concat([before, bytes]))
        }),
      sync: (path) => turn(`sync ${path}`, () => this.#sync(path)),
      link: (from, to) =>
        turn(`link ${to}`, () => {
          if (this.#names.has(to)) throw systemError('EEXIST', to)
          this.#requireDirectory(dirname(to))
          this.#names.set(to, this.#file(from))
        }),
      copy: (from, to, bytes) =>
        turn(`copy ${to}`, () => {
          if (this.#names.has(to)) throw systemError('EEXIST', to)
          const { bytes: content } = this.#file(from)
          this.#write(to, Buffer.from(content.subarray(0, bytes ?? content.length)))
        }),
      size: (path) =>
        turn(`size ${path}`, () => {
          const node = this.#names.get(path)
          return node?.kind === 'file' ? node.bytes.length : node === undefined ? undefined : 0
        }),
      remove: (path) => turn(`remove ${path}`, () => this.#remove(path)),
    }
  }

  /** The machine loses power: only what was synced is sure to be there afterwards. */
  crash(): void {
    const names = new Map(this.#durableNames)
    for (const [path, node] of this.#names) {
      if (!names.has(path) && this.#random.chance(0.5)) names.set(path, node)
    }
    for (const [path, node] of this.#durableNames) {
      // a removal that was not synced may not have happened
      if (!this.#names.has(path) && this.#random.chance(0.5)) names.delete(path)
      else names.set(path, this.#names.get(path) ?? node)
    }
    for (const path of [...names.keys()].sort()) {
      if (path !== '/' && !names.has(dirname(path))) names.delete(path)
    }
    for (const node of new Set(names.values())) if (node.kind === 'file') this.#tear(node)
    this.#names = names
    this.#durableNames = new Map(names)
  }

  /** Flips a bit of some file that matches; whether there was one. */
  flipBit(matches: (path: string) => boolean): boolean {
    const files = [...this.#names].filter(
      ([path, node]) => node.kind === 'file' && node.bytes.length > 0 && matches(path),
    )
    if (files.length === 0) return false
    const [, node] = this.#random.pick(files)
    if (node.kind !== 'file') return false
    const flipped = Buffer.from(node.bytes)
    const at = this.#random.below(flipped.length)
    flipped[at] = (flipped[at] as number) ^ (1 << this.#random.below(8))
    node.bytes = flipped
    node.synced = flipped
    return true
  }

  #tear(node: FileNode): void {
    if (!node.bytes.equals(node.synced)) {
      const kept = this.#random.pick(['synced', 'torn', 'whole'] as const)
      if (kept === 'synced') node.bytes = node.synced
      if (kept === 'torn')
        node.bytes = node.bytes.subarray(0, this.#random.below(node.bytes.length + 1))
    }
    node.synced = node.bytes
  }

  #makeDirectory(path: string): void {
    if (path === '/' || path === '.') return
    this.#makeDirectory(dirname(path))
    if (!this.#names.has(path)) this.#names.set(path, { kind: 'directory' })
  }

  #list(path: string): string[] {
    const prefix = path === '/' ? '/' : `${path}/`
    return [...this.#names.keys()]
      .filter((name) => name.startsWith(prefix) && name !== path)
      .map((name) => name.slice(prefix.length))
      .filter((name) => !name.includes('/'))
      .sort()
  }

  #write(path: string, bytes: Buffer): void {
    this.#requireDirectory(dirname(path))
    const node = this.#names.get(path)
    if (node?.kind === 'file') node.bytes = bytes
    else this.#names.set(path, { kind: 'file', bytes, synced: Buffer.alloc(0) })
  }

  #sync(path: string): void {
    const node = this.#names.get(path)
    if (node === undefined) throw systemError('ENOENT', path)
    if (node.kind === 'file') {
      node.synced = node.bytes
      return
    }
    for (const name of this.#durableNames.keys()) {
      if (dirname(name) === path && name !== '/' && !this.#names.has(name)) {
        this.#durableNames.delete(name)
      }
    }
    for (const [name, child] of this.#names) {
      if (dirname(name) === path && name !== '/') this.#durableNames.set(name, child)
    }
  }

  #remove(path: string): void {
    for (const name of this.#names.keys()) {
      if (name === path || name.startsWith(`${path}/`)) this.#names.delete(name)
    }
  }

  #file(path: string): FileNode {
    const node = this.#names.get(path)
    if (node?.kind !== 'file') throw systemError('ENOENT', path)
    return node
  }

  #requireDirectory(path: string): void {
    if (this.#names.get(path)?.kind !== 'directory') throw systemError('ENOENT', path)
  }
}

/** An error as the system makes them. */
export function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
