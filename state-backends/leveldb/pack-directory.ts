/**
 * Which packs a state has, and which of them a hash belongs to: extendible hashing, for each key group on its own.
 *
 * A pack is named by the low bits of the hashes that belong to it, `depth` of them. When it is split, it keeps its name for the hashes
 * with a 0 in the next bit, and a new pack takes those with a 1.
 *
 * Invariants
 *  - Every hash belongs to exactly one pack of its group, once the group has one.
 *  - Packs are never removed, so their depths follow from their names: the pack n has been split at bit b if there is a pack n + 2^b.
 *
 * Memory: a byte for each hash of as many bits as the deepest pack of the group has.
 */
import { assert } from '../../src/core/errors.ts'

/** Packs of this depth are not split: they grow. A group takes a directory of 2^20 bytes then. */
export const DEPTH_MAX = 20

export class PackDirectory {
  /** By group; the depth of the pack that a hash belongs to, at the hash's low bits. */
  readonly #groups: (Uint8Array | undefined)[] = []

  /** The pack of a hash, or -1 if its group has none. */
  packOf(group: number, hash: number): number {
    const depths = this.#groups[group]
    if (depths === undefined) return -1
    return hash & ((1 << (depths[hash & (depths.length - 1)] as number)) - 1)
  }

  /** The depth of the pack a hash belongs to. */
  depthOf(group: number, hash: number): number {
    const depths = this.#groups[group]
    return depths === undefined ? 0 : (depths[hash & (depths.length - 1)] as number)
  }

  /** Gives a group its first pack, of number 0. */
  begin(group: number): void {
    this.#set(group, new Uint8Array(1))
  }

  /** Splits a pack; the number of the new one. */
  split(group: number, pack: number): number {
    const depth = this.depthOf(group, pack)
    assert(depth < DEPTH_MAX, 'A pack of the greatest depth is not split')
    let depths = this.#groups[group] as Uint8Array
    if (depths.length === 1 << depth) {
      const doubled = new Uint8Array(depths.length * 2)
      doubled.set(depths)
      doubled.set(depths, depths.length)
      this.#set(group, doubled)
      depths = doubled
    }
    for (let at = pack; at < depths.length; at += 1 << depth) depths[at] = depth + 1
    return pack + (1 << depth)
  }

  /** Takes in all packs that a group has in an opened database. */
  restore(group: number, packs: ReadonlySet<number>): void {
    const depthByPack = new Map<number, number>()
    let depthMax = 0
    for (const pack of packs) {
      let depth = 32 - Math.clz32(pack)
      while (depth < DEPTH_MAX && packs.has(pack + (1 << depth))) depth++
      depthByPack.set(pack, depth)
      depthMax = Math.max(depthMax, depth)
    }
    const depths = new Uint8Array(1 << depthMax)
    for (const [pack, depth] of depthByPack) {
      for (let at = pack; at < depths.length; at += 1 << depth) depths[at] = depth
    }
    this.#set(group, depths)
  }

  #set(group: number, depths: Uint8Array): void {
    while (this.#groups.length < group) this.#groups.push(undefined)
    this.#groups[group] = depths
  }
}
