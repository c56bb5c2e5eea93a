/** What a device does with the steps that workers leave to it, against the workers' own kernels. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import type { Engine } from '#dist/engine/index.js';
import { selectEngine } from '#dist/engine/index.js';
import { applyStep, execute } from '#dist/pipeline/augment/execute.js';
import { Kernels } from '#dist/pipeline/augment/kernels.js';
import { defer, deferredRecipe } from '#dist/pipeline/augment/defer.js';
import { drawView, type Step } from '#dist/pipeline/augment/parameters.js';
import { recipes, viewBytes, viewShape } from '#dist/pipeline/augment/recipe.js';
import { Random } from '#dist/pipeline/plan/random.js';
import { applySteps, augmentOnDevice } from '#dist/train/device-augment.js';
import { unpackShard } from '../support/shards.js';
