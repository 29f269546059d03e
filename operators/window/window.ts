/** Chooses how a window function is carried out. */
import type { OperatorDescription } from '../../src/contract/operator.ts'
import type { Window, WindowFunction } from '../../src/contract/window.ts'
import { canSubtract, subtracting } from '../kept-rows.ts'
import type { Subtracting } from '../kept-rows.ts'
import { keyWindow } from './key-window.ts'
import { aggregateResult } from './pane-output.ts'
import type { WindowResult } from './pane-output.ts'
import { paneWindow } from './pane-window.ts'
import { sliceWindow } from './slice-window.ts'
import { onePane } from './window-options.ts'
import type { PaneOptions } from './window-options.ts'

/**
 * A window operator: one for windows that fire more than once, or of whose rows some may be taken back; else slices where windows are
 * the same for all keys, or windows of each key's own.
 */
export function window<T, A>(
  windows: WindowFunction<T, Window>,
  result: WindowResult<T, A>,
  options?: PaneOptions<T>,
  mayRetract: boolean = false,
): OperatorDescription {
  if (mayRetract && result.isValue) {
    const aggregator = subtracting(result.aggregator) as Subtracting<T, unknown, unknown>
    return paneWindow<T, unknown>(
      windows,
      aggregateResult(result.kind, aggregator, result.functions),
      options ?? onePane(),
      canSubtract(result.aggregator) ? 'subtracted' : 'rows kept',
    )
  }
  if (options !== undefined) return paneWindow(windows, result, options, 'none')
  return windows.aligned === undefined
    ? keyWindow(windows, result)
    : sliceWindow(windows, windows.aligned, result)
}
