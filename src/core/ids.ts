/** Numbers that are always one kind of thing, branded so that an index, a count and an id never meet by accident. */
declare const unit: unique symbol

/** One of `maxParallelism` parts of the key space: the unit in which keyed state moves when parallelism changes. */
export type KeyGroup = number & { readonly [unit]: 'KeyGroup' }

/** Which parallel instance of an operator, from 0. */
export type SubtaskIndex = number & { readonly [unit]: 'SubtaskIndex' }

/** Counts the checkpoints and savepoints of a lineage, from 1. Never used twice. */
export type CheckpointId = number & { readonly [unit]: 'CheckpointId' }

/** Grows with each owner of a checkpoint directory: a lower fence publishes and commits nothing. */
export type Fence = number & { readonly [unit]: 'Fence' }
