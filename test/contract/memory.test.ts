import { memory } from '../../state-backends/memory/index.ts'
import { stateBackendSuite } from './state-backend.ts'

stateBackendSuite('memory', () => memory)
