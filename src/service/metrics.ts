/**
 * What Prometheus is told, and its text. The families are listed here once; docs/service.md explains each, which a test holds.
 *
 * A process has two kinds: those of the job (`jobSamples`, from its report) and those of the process that runs it, which `prom-client`
 * measures. The supervisor adds its own under names of its own, so that both texts can stand in one answer.
 */
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import type { SubtaskTotals } from '../job/job-figures.ts'
import type { JobReport } from './control-protocol.ts'

export interface MetricFamily {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly labels: readonly string[]
  readonly help: string
}

/** A value of a family. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const family = (
  type: MetricFamily['type'],
  name: string,
  help: string,
  ...labels: readonly string[]
): MetricFamily => ({ name: `millrace_${name}`, type, labels, help })

const subtask = ['job', 'task', 'subtask'] as const
const operator = ['job', 'operator', 'subtask'] as const

/** Told by the process of the job. */
export const jobFamilies: readonly MetricFamily[] = [
  family(
    'gauge',
    'job_info',
    'Always 1; its labels tell which run of the job this is',
    'job',
    'run',
    'status',
  ),
  family('gauge', 'job_start_time_seconds', 'When this process of the job began', 'job'),
  family(
    'counter',
    'job_restarts_total',
    'Restarts of subtasks within this process, by the restart strategy',
    'job',
  ),
  family(
    'counter',
    'records_in_total',
    'Records that a subtask of a task took in, or read if it begins with a source; records read again after a restart count again',
    ...subtask,
  ),
  family(
    'counter',
    'records_out_total',
    'Records that a subtask of a task sent to other tasks',
    ...subtask,
  ),
  family('counter', 'records_written_total', 'Records that a sink took', ...operator),
  family(
    'counter',
    'late_records_total',
    'Records that came after their windows were over',
    ...operator,
  ),
  family(
    'counter',
    'operator_count_total',
    'Whatever else an operator counts, by the name it gives it',
    ...operator,
    'name',
  ),
  family(
    'gauge',
    'watermark_seconds',
    'Event time that a subtask has reached; missing before its first watermark and after its last',
    ...subtask,
  ),
  family(
    'gauge',
    'watermark_lag_seconds',
    'Present time less millrace_watermark_seconds',
    ...subtask,
  ),
  family(
    'gauge',
    'input_watermark_seconds',
    'Event time up to which an operator has been told that all is there; missing before its first watermark and after its last',
    ...operator,
  ),
  family(
    'gauge',
    'output_watermark_seconds',
    'Event time up to which an operator has told the same to those behind it; lower than its input watermark while it holds results back',
    ...operator,
  ),
  family(
    'gauge',
    'operator_value',
    'Whatever else an operator measures, by the name it gives it',
    ...operator,
    'name',
  ),
  family('gauge', 'state_cells', 'Cells of keyed state that a subtask holds', ...subtask),
  family('counter', 'checkpoints_total', 'Checkpoints completed by this process', 'job'),
  family('counter', 'checkpoint_failures_total', 'Checkpoints given up by this process', 'job'),
  family('gauge', 'checkpoint_id', 'Number of the last completed checkpoint', 'job'),
  family(
    'gauge',
    'checkpoint_duration_seconds',
    'From the beginning of the last completed checkpoint to its end',
    'job',
  ),
  family('gauge', 'checkpoint_bytes', 'Size of the last completed checkpoint', 'job'),
  family(
    'gauge',
    'checkpoint_time_seconds',
    'When the last checkpoint of this process was complete',
    'job',
  ),
  family('gauge', 'checkpoint_interval_seconds', 'How often checkpoints are due', 'job'),
]

/** Told by the supervisor, which also answers while there is no process of the job. */
export const supervisorFamilies: readonly MetricFamily[] = [
  family('gauge', 'job_up', '1 if the job runs, else 0'),
  family('gauge', 'healthy', '1 if /health says that all is well, else 0'),
  family(
    'gauge',
    'checkpoint_age_seconds',
    'Time since the last completed checkpoint of any process of this run; missing before the first',
  ),
  family(
    'gauge',
    'failures_in_row',
    'Failures since the last progress; from 3 on it is a restart loop',
  ),
  family('counter', 'supervisor_restarts_total', 'Times the process of the job was started again'),
]

/** The job's values. Those that there are not yet are left out. */
export function jobSamples(
  report: JobReport,
  subtasks: readonly SubtaskTotals[],
  nowMs: number,
): Sample[] {
  const { job, lastCheckpoint, checkpoints } = report
  const samples: Sample[] = []
  const put = (
    name: string,
    value: number | undefined,
    labels: Readonly<Record<string, string>> = {},
  ): void => {
    if (value === undefined || !Number.isFinite(value)) return
    samples.push({ name: `millrace_${name}`, labels: { job, ...labels }, value })
  }
  const seconds = (durationMs: number | undefined): number | undefined =>
    durationMs === undefined ? undefined : durationMs / 1000
  put('job_info', 1, { run: report.runId, status: report.status })
  put('job_start_time_seconds', report.startedAtMs / 1000)
  put('job_restarts_total', report.restartCount)
  const names = new Map(report.tasks.map(({ taskId, name }) => [taskId, name]))
  for (const each of subtasks) {
    const of = String(each.subtaskIndex)
    const labels = { task: names.get(each.taskId) ?? String(each.taskId), subtask: of }
    put('records_in_total', each.recordsIn, labels)
    put('records_out_total', each.recordsOut, labels)
    put('watermark_seconds', seconds(each.watermarkMs), labels)
    put('watermark_lag_seconds', seconds(nowMs - each.watermarkMs), labels)
    put('state_cells', each.stateCells, labels)
    for (const [path, count] of Object.entries(each.counts)) {
      const { uid, name } = partsOf(path)
      const own = { operator: uid, subtask: of }
      if (name === 'recordsWritten') put('records_written_total', count, own)
      else if (name === 'lateRecords') put('late_records_total', count, own)
      else put('operator_count_total', count, { ...own, name })
    }
    for (const [path, value] of Object.entries(each.gauges)) {
      const { uid, name } = partsOf(path)
      put('operator_value', value, { operator: uid, subtask: of, name })
    }
    for (const { operator: uid, inputMs, outputMs } of each.watermarks) {
      const own = { operator: uid, subtask: of }
      put('input_watermark_seconds', seconds(inputMs), own)
      put('output_watermark_seconds', seconds(outputMs), own)
    }
  }
  put('checkpoints_total', report.checkpointCount)
  put('checkpoint_failures_total', report.checkpointFailureCount)
  put('checkpoint_id', lastCheckpoint?.checkpointId)
  put('checkpoint_duration_seconds', seconds(lastCheckpoint?.durationMs))
  put('checkpoint_bytes', lastCheckpoint?.bytes)
  put('checkpoint_time_seconds', seconds(lastCheckpoint?.completedAtMs))
  put('checkpoint_interval_seconds', seconds(checkpoints?.intervalMs))
  return samples
}

/** A uid may hold dots, the name of a counter or gauge holds none. */
function partsOf(path: string): { readonly uid: string; readonly name: string } {
  const at = path.lastIndexOf('.')
  return { uid: path.slice(0, at), name: path.slice(at + 1) }
}

/** Families and figures of this process, as text in the format of Prometheus. */
export class MetricsPage {
  readonly #registry = new Registry()
  readonly #families: readonly MetricFamily[]
  readonly #metrics = new Map<string, Counter | Gauge>()

  /** `prefix`: of the names of what is measured of the process itself. */
  constructor(families: readonly MetricFamily[], prefix: string) {
    this.#families = families
    for (const { name, type, labels, help } of families) {
      const options = { name, help, labelNames: [...labels], registers: [this.#registry] }
      this.#metrics.set(name, type === 'counter' ? new Counter(options) : new Gauge(options))
    }
    collectDefaultMetrics({ register: this.#registry, prefix })
  }

  /** All of it, with `samples` and no others. */
  text(samples: readonly Sample[]): Promise<string> {
    for (const { name, labels } of this.#families) {
      const metric = this.#metrics.get(name)
      metric?.reset()
      // a value that there is not is better left out than told as 0, which a metric without labels would be
      if (labels.length === 0) metric?.remove()
    }
    for (const { name, labels, value } of samples) this.#metrics.get(name)?.inc(labels, value)
    return this.#registry.metrics()
  }
}
