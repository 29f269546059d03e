/**
 * The jars of the broker that the tests start, and whether this machine can run it. Maven fetches them once into
 * `${XDG_CACHE_HOME:-~/.cache}/millrace-test-kafka/<digest of pom.xml with the version>`; two processes that fetch at once do not disturb
 * each other, since the directory gets its name by one rename.
 */
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const javaVersionMin = 17
const supportDirectory = join(projectDirectory(), 'test', 'support', 'kafka')
const pomFile = join(supportDirectory, 'pom.xml')

const newestPom = readFileSync(pomFile, 'utf8')
const versionInPom = /<kafka.version>(.*)<\/kafka.version>/

/** The release that tests run on: that of pom.xml, unless MILLRACE_KAFKA_VERSION says otherwise. */
export const kafkaVersion: string =
  process.env['MILLRACE_KAFKA_VERSION'] ?? versionInPom.exec(newestPom)?.[1] ?? ''

/** How the broker logs. */
export const log4jFile: string = join(supportDirectory, 'log4j2.properties')

/** Programs of the JDK at `JAVA_HOME`, else those on the path. */
export const java: string = jdk('java')

/** Makes the key store of a broker with TLS. */
export const keytool: string = jdk('keytool')

/** Why no broker can be started here, in one line; undefined where it can. */
export function kafkaMissing(): string | undefined {
  const version = javaVersion()
  if (version === undefined) return `no Java ${javaVersionMin} or newer is installed`
  if (version < javaVersionMin) return `Java ${version} is too old, ${javaVersionMin} is needed`
  if (!existsSync(jarsDirectory(kafkaVersion)) && !runs('mvn')) return 'Maven is not installed'
  return undefined
}

/** The directory with the jars of a release, which are fetched if they are not there yet. */
export async function kafkaJars(version: string = kafkaVersion): Promise<string> {
  const directory = jarsDirectory(version)
  if (existsSync(directory)) return directory
  await mkdir(dirname(directory), { recursive: true })
  const work = await mkdtemp(join(dirname(directory), 'part-'))
  try {
    await writeFile(join(work, 'pom.xml'), pomOf(version))
    await promisify(execFile)('mvn', [
      '-q',
      '-B',
      '-f',
      join(work, 'pom.xml'),
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${join(work, 'lib')}`,
    ])
    await rename(join(work, 'lib'), directory).catch((error: unknown) => {
      if (!existsSync(directory)) throw error // otherwise another process was first
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return directory
}

function jarsDirectory(version: string): string {
  const digest = createHash('sha256').update(pomOf(version)).digest('hex').slice(0, 12)
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return join(cache, 'millrace-test-kafka', digest)
}

function pomOf(version: string): string {
  return newestPom.replace(versionInPom, `<kafka.version>${version}</kafka.version>`)
}

function jdk(program: string): string {
  const home = process.env['JAVA_HOME']
  return home === undefined ? program : join(home, 'bin', program)
}

function javaVersion(): number | undefined {
  try {
    const text = execFileSync(java, ['--version'], { encoding: 'utf8', stdio: 'pipe' })
    return Number(/^\S+ (\d+)/.exec(text)?.[1])
  } catch {
    return undefined // not there, or so old that it does not know --version
  }
}

function runs(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Where package.json is, seen from this file or from its compiled form. */
function projectDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}
