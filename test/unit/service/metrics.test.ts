/** The mapping from a job's report to Prometheus; and docs/service.md explains every metric. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { JobReport } from '../../../src/service/control-protocol.ts'
import {
  MetricsPage,
  jobFamilies,
  jobSamples,
  supervisorFamilies,
} from '../../../src/service/metrics.ts'

const report: JobReport = {
  job: 'orders',
  runId: 'run-1',
  pid: 1,
  status: 'running',
  module: 'file:///orders.ts',
  startedAtMs: 5_000,
  parallelism: 1,
  threads: 1,
  checkpoints: { directory: '/ck', intervalMs: 10_000 },
  restored: null,
  lastCheckpoint: { checkpointId: 4, completedAtMs: 20_000, durationMs: 250, bytes: 1_234 },
  lastSavepoint: null,
  checkpointCount: 3,
  checkpointFailureCount: 2,
  restartCount: 1,
  lastFailure: { message: 'sasl password hunter2 was refused', atMs: 1 },
  recordsRead: 0,
  recordsWritten: 0,
  lateRecords: 0,
  tasks: [
    {
      taskId: 0,
      name: 'orders -> out',
      parallelism: 1,
      recordsIn: 0,
      recordsOut: 0,
      watermarkMs: null,
      stateCells: 0,
    },
  ],
}
const subtask = {
  taskId: 0,
  subtaskIndex: 2,
  recordsIn: 10,
  recordsOut: 8,
  watermarkMs: 27_000,
  stateCells: 6,
  counts: { 'out.v2.recordsWritten': 7, 'count.lateRecords': 3, 'count.dropped': 1 },
  gauges: { 'count.v2.open': 12 },
  watermarks: [
    { operator: 'count.v2', inputMs: 27_000, outputMs: 19_000 },
    { operator: 'out.v2', inputMs: -Infinity, outputMs: Infinity },
  ],
}

/** Lines with a value, by name and labels. */
async function linesOf(
  page: MetricsPage,
  ...args: Parameters<typeof jobSamples>
): Promise<string[]> {
  const text = await page.text(jobSamples(...args))
  return text.split('\n').filter((line) => line.startsWith('millrace_'))
}

test('a report and its subtasks as metrics', async () => {
  const lines = await linesOf(new MetricsPage(jobFamilies, 'millrace_'), report, [subtask], 30_000)

  const task = 'job="orders",task="orders -> out",subtask="2"'
  for (const line of [
    'millrace_job_info{job="orders",run="run-1",status="running"} 1',
    'millrace_job_start_time_seconds{job="orders"} 5',
    'millrace_job_restarts_total{job="orders"} 1',
    `millrace_records_in_total{${task}} 10`,
    `millrace_records_out_total{${task}} 8`,
    `millrace_watermark_seconds{${task}} 27`,
    `millrace_watermark_lag_seconds{${task}} 3`,
    `millrace_state_cells{${task}} 6`,
    'millrace_records_written_total{job="orders",operator="out.v2",subtask="2"} 7',
    'millrace_late_records_total{job="orders",operator="count",subtask="2"} 3',
    'millrace_operator_count_total{job="orders",operator="count",subtask="2",name="dropped"} 1',
    'millrace_operator_value{job="orders",operator="count.v2",subtask="2",name="open"} 12',
    'millrace_input_watermark_seconds{job="orders",operator="count.v2",subtask="2"} 27',
    'millrace_output_watermark_seconds{job="orders",operator="count.v2",subtask="2"} 19',
    'millrace_checkpoints_total{job="orders"} 3',
    'millrace_checkpoint_failures_total{job="orders"} 2',
    'millrace_checkpoint_id{job="orders"} 4',
    'millrace_checkpoint_duration_seconds{job="orders"} 0.25',
    'millrace_checkpoint_bytes{job="orders"} 1234',
    'millrace_checkpoint_time_seconds{job="orders"} 20',
    'millrace_checkpoint_interval_seconds{job="orders"} 10',
  ]) {
    assert.ok(lines.includes(line), `${lines.join('\n')}\nhas ${line}`)
  }
  assert.ok(lines.some((line) => line.startsWith('millrace_nodejs_eventloop_lag_seconds ')))
  assert.ok(lines.some((line) => line.startsWith('millrace_process_cpu_seconds_total ')))
  assert.ok(!lines.some((line) => line.includes('hunter2')))
  assert.ok(!lines.some((line) => /watermark.*operator="out/.test(line)))
})

test('what there is not yet is left out, and what was told before is not told again', async () => {
  const page = new MetricsPage(jobFamilies, 'millrace_')
  await linesOf(page, report, [subtask], 30_000)

  const lines = await linesOf(
    page,
    { ...report, lastCheckpoint: null },
    [{ ...subtask, watermarkMs: -Infinity, recordsIn: 11 }],
    30_000,
  )

  assert.ok(lines.some((line) => /^millrace_records_in_total\{.*\} 11$/.test(line)))
  assert.deepEqual(
    lines.filter((line) =>
      /^millrace_(?:watermark|checkpoint_(?:id|bytes|duration|time))/.test(line),
    ),
    [],
  )
})

test('docs/service.md explains every metric as its help does, and none that there is not', () => {
  const document = readFileSync(new URL('../../../../docs/service.md', import.meta.url), 'utf8')
  const rows = document
    .replaceAll(/ +/g, ' ')
    .matchAll(/^\| `(millrace_\w+)` \| (\w+) \|[^|]*\| (.*) \|$/gm)
  const told = [...rows].map(([, name, type, help]) => `${name} ${type} ${help}`)

  assert.deepEqual(
    told,
    [...supervisorFamilies, ...jobFamilies].map(
      ({ name, type, help }) => `${name} ${type} ${help}`,
    ),
  )
})
