/** Curves as SVG. Pure. */

export interface Axis {
  readonly label: string
  /** Equal ratios at equal distances. Default: equal differences. */
  readonly isLogarithmic?: boolean
}

export interface Curve {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Chart {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly curves: readonly Curve[]
}

export const COLOURS = ['#2563eb', '#d97706', '#059669', '#9333ea', '#64748b'] as const

const WIDTH = 640
const HEIGHT = 320
const MARGIN = { left: 64, right: 170, top: 34, bottom: 46 } as const
const TICKS_MAX = 6

/** From zero, or from the power of ten below the least value where an axis is logarithmic, to the highest value. */
export function curvesSvg({ title, x, y, curves }: Chart): string {
  const points = curves.flatMap((curve) => curve.points)
  const across = scaleOf(
    points.map(([value]) => value),
    x,
    MARGIN.left,
    WIDTH - MARGIN.right,
  )
  const up = scaleOf(
    points.map(([, value]) => value),
    y,
    HEIGHT - MARGIN.bottom,
    MARGIN.top,
  )
  const parts: string[] = []
  for (const tick of across.ticks) {
    const at = across.place(tick).toFixed(1)
    parts.push(
      `<path d="M${at} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}" stroke="#e5e7eb"/>`,
      text(across.place(tick), HEIGHT - MARGIN.bottom + 14, short(tick), 'middle'),
    )
  }
  for (const tick of up.ticks) {
    const at = up.place(tick).toFixed(1)
    parts.push(
      `<path d="M${MARGIN.left} ${at}H${WIDTH - MARGIN.right}" stroke="#e5e7eb"/>`,
      text(MARGIN.left - 6, up.place(tick) + 4, short(tick), 'end'),
    )
  }
  curves.forEach((curve, index) => {
    const colour = COLOURS[index % COLOURS.length] as string
    const places = curve.points.map(
      ([px, py]) => `${across.place(px).toFixed(1)} ${up.place(py).toFixed(1)}`,
    )
    parts.push(
      `<path d="M${places.join('L')}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      ...places.map((place) => {
        const [cx, cy] = place.split(' ')
        return `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colour}"/>`
      }),
      `<rect x="${WIDTH - MARGIN.right + 14}" y="${MARGIN.top + index * 18}" width="10" height="10" fill="${colour}"/>`,
      text(WIDTH - MARGIN.right + 30, MARGIN.top + index * 18 + 9, curve.name),
    )
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(8, 18, title),
    ...parts,
    text((MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 10, x.label, 'middle'),
    text(8, MARGIN.top - 4, y.label),
    '</svg>',
    '',
  ].join('\n')
}

interface Scale {
  readonly ticks: readonly number[]
  place(value: number): number
}

/** Places from `start` to `end`, which may be less. */
function scaleOf(values: readonly number[], axis: Axis, start: number, end: number): Scale {
  if (axis.isLogarithmic === true) {
    const low = Math.floor(Math.log10(Math.min(...values)))
    const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
    return {
      ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
      place: (value) => start + ((Math.log10(value) - low) / (high - low)) * (end - start),
    }
  }
  const most = Math.max(...values)
  const step = niceStep(most / (TICKS_MAX - 1))
  const top = Math.ceil(most / step) * step
  return {
    ticks: Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step),
    place: (value) => start + (value / top) * (end - start),
  }
}

/** 1, 2 or 5 times a power of ten, not less than `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least))
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10)
}

function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(3))} k`
  return String(Number(value.toPrecision(3)))
}

/** A text whose start, middle or end lies at `x`. */
export function text(x: number, y: number, content: string, anchor = 'start'): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const where = anchor === 'start' ? '' : ` text-anchor="${anchor}"`
  return `<text x="${x.toFixed(1)}" y="${y}"${where}>${escaped}</text>`
}
