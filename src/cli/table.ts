/** Rows as text in columns, and figures as people read them. Pure. */
import { formatMs } from '../core/duration.ts'

/** Columns as wide as their widest cell; the last is not padded. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** 1234567 as 1,234,567. */
export function countText(count: number): string {
  return count.toLocaleString('en-US')
}

/** A length of time of which only the largest parts matter: 250ms, 12s, 5min, 3h, 2d. */
export function aboutText(durationMs: number): string {
  const units = [86_400_000, 3_600_000, 60_000, 1000]
  const unit = units.find((each) => durationMs >= each) ?? 1
  return formatMs(Math.floor(Math.max(0, durationMs) / unit) * unit)
}

export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const index = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 1024 ** index
  return `${index === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[index] ?? ''}`
}
