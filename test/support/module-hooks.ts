/** `node --import` of this file reads TypeScript and finds `millrace`, on every version of Node, as `millrace run` does. */
import { registerModuleHooks } from '../../src/job/module-loader.ts'

registerModuleHooks()
