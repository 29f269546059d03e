/** Chooses how a window function is carried out. */
import type { OperatorDescription } from '../../src/contract/operator.ts'
import type { Window, WindowFunction } from '../../src/contract/window.ts'
import { keyWindow } from './key-window.ts'
import type { WindowResult } from './pane-output.ts'
import { paneWindow } from './pane-window.ts'
import { sliceWindow } from './slice-window.ts'
import type { PaneOptions } from './window-options.ts'

/**
 * A window operator: one for windows that fire more than once; else slices where windows are the same for all keys, or windows of each
 * key's own.
 */
export function window<T, A>(
  windows: WindowFunction<T, Window>,
  result: WindowResult<T, A>,
  options?: PaneOptions<T>,
): OperatorDescription {
  if (options !== undefined) return paneWindow(windows, result, options)
  return windows.aligned === undefined
    ? keyWindow(windows, result)
    : sliceWindow(windows, windows.aligned, result)
}
