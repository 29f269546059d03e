/** Chooses how a window function is carried out. */
import type { OperatorDescription } from '../../src/contract/operator.ts'
import type { Window, WindowFunction } from '../../src/contract/window.ts'
import { keyWindow } from './key-window.ts'
import type { WindowResult } from './pane-output.ts'
import { sliceWindow } from './slice-window.ts'

/** A window operator: slices where windows are the same for all keys, else windows of each key's own. */
export function window<T, A>(
  windows: WindowFunction<T, Window>,
  result: WindowResult<T, A>,
): OperatorDescription {
  return windows.aligned === undefined
    ? keyWindow(windows, result)
    : sliceWindow(windows, windows.aligned, result)
}
