/** What TypeScript knows of the entry points besides `detco/pipeline`; compiled as pipeline.ts is. */
import { expectTypeOf } from 'expect-type';
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import {
  type Engine,
  ENGINE_NAMES,
  type EngineName,
  type EngineOptions,
  type EngineReport,
  inspectEngines,
  type Precision,
  selectEngine,
} from 'detco/engine';
import {
  EXPORT_FORMATS,
  exportBackbone,
  type ExportFormat,
  type ExportReport,
  importBackbone,
  type ImportReport,
  loadBackbone,
  type LoadedBackbone,
  WeightsError,
} from 'detco/interop';
import {
  type Architecture,
  type Backbone,
  type Method,
  METHOD_NAMES,
  methodKind,
  methodOptions,
  type MethodOptions,
  type Stage,
} from 'detco/model';
import type { Pipeline, PipelineOptions, Span } from 'detco/pipeline';
import { chromeTrace, type Measured, measurePipeline, profileReport, type ProfileReport, reportHtml, reportLines } from 'detco/profile';
import {
  type ConfigInput,
  learningRate,
  loadCheckpoint,
  type LoadedCheckpoint,
  OptionsError,
  PRESET_NAMES,
  readConfigFile,
  resolveConfig,
  type StepMetrics,
  train,
  type TrainConfig,
  type TrainResult,
} from 'detco/train';

/* detco/profile */
expectTypeOf(measurePipeline).parameter(0).toEqualTypeOf<PipelineOptions>();
expectTypeOf(measurePipeline).returns.resolves.toEqualTypeOf<{ readonly measured: Measured; readonly spans: readonly Span[] }>();
expectTypeOf(profileReport).parameter(0).toEqualTypeOf<Measured>();
expectTypeOf(profileReport).returns.toEqualTypeOf<ProfileReport>();
expectTypeOf<ProfileReport['verdict']>().toEqualTypeOf<string>();
expectTypeOf(reportLines).parameter(0).toEqualTypeOf<ProfileReport>();
expectTypeOf(reportHtml).returns.toEqualTypeOf<string>();
expectTypeOf(chromeTrace).returns.toBeObject();

/* detco/engine */
expectTypeOf<EngineName>().toEqualTypeOf<'wasm' | 'tensorflow' | 'torch'>();
expectTypeOf(ENGINE_NAMES).toExtend<readonly EngineName[]>();
expectTypeOf(selectEngine).parameter(0).toEqualTypeOf<'auto' | EngineName>();
expectTypeOf(selectEngine).returns.resolves.toEqualTypeOf<Engine>();
expectTypeOf(inspectEngines).returns.resolves.toEqualTypeOf<EngineReport[]>();
expectTypeOf<EngineOptions['precision']>().toEqualTypeOf<Precision | undefined>();
expectTypeOf<Precision>().toEqualTypeOf<'fp32' | 'tf32' | 'bf16'>();
expectTypeOf<Engine['upload']>().returns.toEqualTypeOf<Tensor>();
expectTypeOf<Engine['infoNce']>().toEqualTypeOf<(queries: Tensor2D, keys: Tensor2D, queue: Tensor2D, temperature: number) => Scalar>();

/* detco/model */
expectTypeOf(METHOD_NAMES).toEqualTypeOf<readonly string[]>();
expectTypeOf(methodOptions).returns.toEqualTypeOf<MethodOptions>();
// Names as the types of literals: TypeScript refuses a method that there is not.
expectTypeOf<'detco'>().toExtend<MethodOptions['name']>();
expectTypeOf<string>().not.toExtend<MethodOptions['name']>();
expectTypeOf(methodKind('detco').create).returns.toEqualTypeOf<Method>();
expectTypeOf<Method['backbone']>().toEqualTypeOf<Backbone>();
expectTypeOf<Architecture>().toEqualTypeOf<'resnet18' | 'resnet34' | 'resnet50' | 'resnet101'>();
expectTypeOf<Stage>().toEqualTypeOf<'res2' | 'res3' | 'res4' | 'res5'>();

/* detco/train */
expectTypeOf({ preset: 'tiny', shards: ['train-000.tar'], batch: 8, optimizer: { name: 'lars' as const } }).toExtend<ConfigInput>();
expectTypeOf(readConfigFile).returns.resolves.toEqualTypeOf<ConfigInput>();
expectTypeOf(resolveConfig).returns.toEqualTypeOf<TrainConfig>();
expectTypeOf(PRESET_NAMES).toEqualTypeOf<readonly string[]>();
expectTypeOf<TrainConfig['shards']>().toEqualTypeOf<string[]>();
expectTypeOf(train).returns.resolves.toEqualTypeOf<TrainResult>();
expectTypeOf<StepMetrics['loss']>().toEqualTypeOf<number>();
expectTypeOf(loadCheckpoint).returns.resolves.toEqualTypeOf<LoadedCheckpoint>();
expectTypeOf(learningRate).returns.toEqualTypeOf<number>();
expectTypeOf<OptionsError>().toExtend<Error>();

/* detco/interop */
expectTypeOf<ExportFormat>().toEqualTypeOf<'torchvision' | 'timm' | 'safetensors' | 'moco' | 'detectron2' | 'onnx'>();
expectTypeOf(EXPORT_FORMATS).toEqualTypeOf<[ExportFormat, ...ExportFormat[]]>();
expectTypeOf(loadBackbone).returns.resolves.toEqualTypeOf<LoadedBackbone>();
expectTypeOf(exportBackbone).returns.resolves.toEqualTypeOf<ExportReport>();
expectTypeOf(importBackbone).returns.resolves.toEqualTypeOf<ImportReport>();
expectTypeOf<WeightsError>().toExtend<Error>();

export function refused(pipeline: Pipeline): void {
  // @ts-expect-error an engine that does not exist
  void selectEngine('webgpu');
  // @ts-expect-error a precision that does not exist
  void selectEngine('auto', { precision: 'fp16' });
  // @ts-expect-error a pipeline for its options
  void measurePipeline(pipeline, { seconds: 1 });
  // @ts-expect-error one spec of shards for a list
  resolveConfig({ shards: 'train-000.tar' });
  // @ts-expect-error a misspelt option
  resolveConfig({ shards: ['train-000.tar'], batchsize: 8 });
  // @ts-expect-error an encoder that does not exist
  void loadBackbone('runs/first', { encoder: 'teacher' });
}
