/** The signals by which whoever runs a job ends it. The answer takes the listener away. */
export function onStopSignal(onSignal: (signal: 'SIGINT' | 'SIGTERM') => void): () => void {
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}
