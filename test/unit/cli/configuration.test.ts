import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Layer } from '../../../src/cli/configuration.ts'
import {
  commandLineLayer,
  configInvalid,
  environmentLayer,
  fileLayer,
  jobLayer,
  mergeLayers,
  unknownOptionMistakes,
} from '../../../src/cli/configuration.ts'
import { settings, variableOf } from '../../../src/cli/settings.ts'

type Options = Record<string, string | boolean | readonly string[]>

const flags = (options: Options): Layer => commandLineLayer(new Map(Object.entries(options)))
const file = (document: unknown): Layer => fileLayer(document, 'run.yaml', '/etc/millrace')
const job = (defaults: object): Layer => jobLayer('orders', defaults)

test('job < config file < environment < command line, setting by setting', () => {
  const layers = [
    job({ parallelism: 1, maxParallelism: 1000, state: 'memory', checkpoints: { directory: 'a' } }),
    file({ parallelism: 2, state: 'leveldb', checkpoints: { interval: '2s', retainCount: 2 } }),
    environmentLayer({ MILLRACE_PARALLELISM: '3', MILLRACE_CHECKPOINT_INTERVAL: '3s' }),
    flags({ '--parallelism': '4' }),
  ]

  const { configuration, mistakes } = mergeLayers(layers, { isJobKnown: true })

  assert.deepEqual(mistakes, [])
  assert.deepEqual(configuration, {
    parallelism: 4,
    maxParallelism: 1000,
    state: 'leveldb',
    checkpoints: { directory: 'a', interval: '3s', retainCount: 2 },
  })
})

test('every setting can be given in each source, and means the same there', () => {
  const samples: Record<string, readonly [text: string, value: unknown]> = {
    control: ['8091', 8091],
    state: ['leveldb', 'leveldb'],
    from: ['none', 'none'],
    force: ['true', true],
    allowNonRestoredState: ['true', true],
    onPartialCommit: ['accept-loss', 'accept-loss'],
    claim: ['true', true],
    preAggregate: ['true', true],
    'checkpoints.directory': ['/ck', '/ck'],
    'checkpoints.guarantee': ['at-least-once', 'at-least-once'],
    savepoints: ['/sp', '/sp'],
    'restart.kind': ['none', 'none'],
    supervise: ['true', true],
    'supervisor.maxOldSpaceMiB': ['512', 512],
    'http.listen': ['0.0.0.0:8080', '0.0.0.0:8080'],
    'http.token': ['0123456789012345', '0123456789012345'],
    'logs.format': ['json', 'json'],
    'logs.level': ['warn', 'warn'],
  }
  for (const setting of settings) {
    const isDuration = setting.placeholder === 'duration'
    const [text, value] = samples[setting.key] ?? (isDuration ? ['3s', '3s'] : ['3', 3])
    const isSwitch = setting.placeholder === undefined

    const sources = [
      file(nest(setting.key, value)),
      environmentLayer({ [variableOf(setting.flag)]: text }),
      flags({ [setting.flag]: isSwitch ? true : text }),
    ]

    for (const layer of sources) {
      assert.deepEqual(layer.mistakes, [], setting.key)
      assert.deepEqual(layer.values.get(setting.key)?.value, value, setting.key)
    }
  }
})

test('a mistake names its source, what is there and what should be', () => {
  const table: readonly (readonly [Layer, string])[] = [
    [flags({ '--threads': 'two' }), "--threads: 'two' is not a whole number from 0"],
    [flags({ '--parallelism': '0' }), '--parallelism: 0 is not a whole number from 1'],
    [flags({ '--parallelism': '1.5' }), '--parallelism: 1.5 is not a whole number from 1'],
    [flags({ '--state': 'rocks' }), "--state: 'rocks' is not one of memory, leveldb"],
    [
      flags({ '--checkpoint-interval': '10' }),
      "--checkpoint-interval: 10 is not a duration above 0 with its unit, like '250ms', '10s', '5min', '1h' or '7d'",
    ],
    [
      flags({ '--checkpoint-timeout': '0s' }),
      "--checkpoint-timeout: '0s' is not a duration above 0 with its unit, like '250ms', '10s', '5min', '1h' or '7d'",
    ],
    [
      flags({ '--checkpoint-min-pause': '-1s' }),
      "--checkpoint-min-pause: '-1s' is not a duration with its unit, like '250ms', '10s', '5min', '1h' or '7d'",
    ],
    [
      flags({ '--control': '70000' }),
      "--control: 70000 is not a port from 0 (any) to 65535, or 'off'",
    ],
    [environmentLayer({ MILLRACE_FORCE: 'yes' }), "MILLRACE_FORCE: 'yes' is not true or false"],
    [
      environmentLayer({ MILLRACE_THREADS: '1e99' }),
      "MILLRACE_THREADS: '1e99' is not a whole number from 0",
    ],
    [
      environmentLayer({ MILLRACE_PARAMS: 'topic' }),
      `MILLRACE_PARAMS: 'topic' is no parameter; write {"key": value}, key=text or key:=JSON`,
    ],
    [file({ threads: '2' }), "run.yaml: threads: '2' is not a whole number from 0"],
    [file({ parallelism: null }), 'run.yaml: parallelism: null is not a whole number from 1'],
    [file({ paralelism: 2 }), 'run.yaml: paralelism is no option; did you mean parallelism?'],
    [
      file({ 'max-parallelism': 2 }),
      'run.yaml: max-parallelism is no option; did you mean maxParallelism?',
    ],
    [
      file({ 'checkpoint-interval': '1s' }),
      'run.yaml: checkpoint-interval is no option; did you mean checkpoints.interval?',
    ],
    [
      file({ interval: '1s' }),
      'run.yaml: interval is no option; did you mean checkpoints.interval?',
    ],
    [
      file({ checkpoints: { intervall: '1s' } }),
      'run.yaml: checkpoints.intervall is no option; did you mean checkpoints.interval?',
    ],
    [file({ zzzzzz: 1 }), 'run.yaml: zzzzzz is no option'],
    [
      file({ checkpoints: '/ck' }),
      "run.yaml: checkpoints: '/ck' is not a mapping of directory, interval, minPause, timeout, failuresMax, retainCount, selfContainedEvery, guarantee",
    ],
    [file({ params: ['a'] }), 'run.yaml: params: a list is not a mapping of parameters'],
    [file('text'), "run.yaml: it must be a mapping of options, but is 'text'"],
    [file([1]), 'run.yaml: it must be a mapping of options, but is [1]'],
  ]
  for (const [layer, mistake] of table) assert.deepEqual(layer.mistakes, [mistake])
})

test('all mistakes of all sources are named at once', () => {
  const layers = [
    file({ threads: -1, paralelism: 2, checkpoints: { interval: 10, foo: 1 } }),
    environmentLayer({ MILLRACE_STATE: 'disk', MILLRACE_RESTART: 'fixed' }),
    flags({ '--guarantee': 'maybe', '--restart-delay-max': '1s', '--max-parallelism': '2' }),
    flags({ '--parallelism': '3' }),
  ]

  const { mistakes } = mergeLayers(layers, { isJobKnown: true })

  assert.deepEqual(
    mistakes.map((mistake) => mistake.replace(/:? (is|has) .*/, '')).sort(),
    [
      "--guarantee: 'maybe'",
      '--parallelism: 3',
      '--restart-delay-max',
      "MILLRACE_STATE: 'disk'",
      'run.yaml: checkpoints.foo',
      'run.yaml: checkpoints.interval: 10',
      'run.yaml: paralelism',
      'run.yaml: threads: -1',
    ].sort(),
  )
  const error = configInvalid(mistakes)
  assert.equal(error.code, 'CONFIG_INVALID')
  assert.match(error.message, /^There are 8 mistakes/)
  for (const mistake of mistakes) assert.ok(error.message.includes(mistake))
})

test('whoever names a restart strategy begins it anew, whoever does not amends it', () => {
  const ofJob = job({ restart: { kind: 'exponential', delay: '1s', delayMax: '1min' } })

  const none = mergeLayers([ofJob, flags({ '--restart': 'none' })], { isJobKnown: true })
  const amended = mergeLayers([ofJob, flags({ '--restart-delay': '5s' })], { isJobKnown: true })

  assert.deepEqual(none, { configuration: { restart: { kind: 'none' } }, mistakes: [] })
  assert.deepEqual(amended.configuration.restart, {
    kind: 'exponential',
    delay: '5s',
    delayMax: '1min',
  })
})

test('a field of another restart strategy, or of none, is a mistake', () => {
  const check = (...layers: readonly Layer[]): readonly string[] =>
    mergeLayers(layers, { isJobKnown: true }).mistakes

  assert.deepEqual(check(flags({ '--restart': 'fixed', '--restart-within': '1min' })), [
    "--restart-within: has no meaning with the restart strategy 'fixed' (--restart), which takes --restart-delay, --restart-attempts",
  ])
  assert.deepEqual(check(flags({ '--restart': 'none' }), flags({ '--restart-delay': '1s' })), [
    "--restart-delay: has no meaning with the restart strategy 'none' (--restart), which takes no further options",
  ])
  assert.deepEqual(check(flags({ '--restart-delay': '1s' })), [
    '--restart-delay: no restart strategy is named; choose one with --restart',
  ])
  assert.deepEqual(check(flags({ '--restart': 'exponential', '--restart-delay': '1h' })), [
    "--restart-delay: '1h' is longer than the longest delay, '1min' (default)",
  ])
})

test('before the job is known nothing is a mistake that it may resolve', () => {
  const layers = [flags({ '--restart-delay': '1s', '--parallelism': '200' })]

  assert.deepEqual(mergeLayers(layers, { isJobKnown: false }).mistakes, [])
  assert.equal(mergeLayers(layers, { isJobKnown: true }).mistakes.length, 2)
  const ofJob = job({
    maxParallelism: 256,
    restart: { kind: 'fixed', delay: '2s', attemptsMax: 1 },
  })
  assert.deepEqual(mergeLayers([ofJob, ...layers], { isJobKnown: true }).mistakes, [])
})

test('parameters are merged key by key, as text or as JSON', () => {
  const layers = [
    file({ params: { topic: 'a', limit: 1, nested: { x: 1 } } }),
    environmentLayer({ MILLRACE_PARAMS: 'topic=b\nregion=eu' }),
    flags({ '--params': ['limit:=10', 'note=a=b:c', '{"region":"us"}'] }),
  ]

  const { configuration, mistakes } = mergeLayers(layers, { isJobKnown: true })

  assert.deepEqual(mistakes, [])
  assert.deepEqual(configuration.params, {
    topic: 'b',
    limit: 10,
    nested: { x: 1 },
    region: 'us',
    note: 'a=b:c',
  })
})

test('a parameter or option named __proto__ is no way into the process', () => {
  const document = JSON.parse('{"__proto__": {"threads": 1}, "params": {"__proto__": {"x": 1}}}')
  const layers = [file(document), flags({ '--params': ['__proto__:={"polluted":1}'] })]

  const { configuration } = mergeLayers(layers, { isJobKnown: true })

  assert.equal((configuration as { polluted?: unknown }).polluted, undefined)
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
  assert.equal(configuration.threads, undefined)
})

test('paths of a config file are relative to it, words are not paths', () => {
  const { values } = file({ from: 'sp/1', savepoints: '/abs', checkpoints: { directory: 'none' } })

  assert.equal(values.get('from')?.value, '/etc/millrace/sp/1')
  assert.equal(values.get('savepoints')?.value, '/abs')
  assert.equal(values.get('checkpoints.directory')?.value, 'none')
  assert.equal(file({ from: 'latest' }).values.get('from')?.value, 'latest')
})

test('an empty variable says nothing; a mistyped one is worth a word; those of others are not', () => {
  const layer = environmentLayer({
    MILLRACE_THREADS: '',
    MILLRACE_PARALELISM: '2',
    MILLRACE_PORT: 'tcp://10.0.0.1:80',
    MILLRACE_SERVICE_HOST: '10.0.0.1',
    PATH: '/bin',
  })

  assert.equal(layer.values.size, 0)
  assert.deepEqual(layer.mistakes, [])
  assert.deepEqual(layer.warnings, [
    'MILLRACE_PARALELISM is no variable of millrace; did you mean MILLRACE_PARALLELISM?',
  ])
})

test('an empty config file says nothing', () => {
  for (const document of [null, undefined, {}]) {
    assert.deepEqual(file(document), { values: new Map(), mistakes: [], warnings: [] })
  }
})

test('unknown options of the command line are named with what was meant', () => {
  assert.deepEqual(unknownOptionMistakes(['--thread', '--xyz=3'], ['--threads', '--state']), [
    '--thread is no option of this command; did you mean --threads?',
    '--xyz is no option of this command',
  ])
})

test('no variable has a name that Kubernetes sets by itself', () => {
  for (const { flag } of settings) assert.doesNotMatch(variableOf(flag), /_PORT$|_SERVICE_/)
})

function nest(key: string, value: unknown): unknown {
  return key
    .split('.')
    .reverse()
    .reduce<unknown>((inner, step) => ({ [step]: inner }), value)
}
