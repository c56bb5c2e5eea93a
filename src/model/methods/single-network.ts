/** What methods share that have one network, which learns, and keep nothing beside it from step to step. */
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { HostState, Method, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { Network } from '../network/network.js';
import { parameterGroups } from '../network/parameter-groups.js';
import type { NetworkSpecs } from '../network/parameters.js';

export interface SingleNetworkParts {
  readonly resNet: ResNet;
  readonly heads: readonly NetworkSpecs[];
  /** Which parameters decay. */
  readonly decay: 'all' | 'weights';
}

export abstract class SingleNetworkMethod<Options extends { readonly bnGroups: number }> implements Method {
  abstract readonly views: readonly string[];
  abstract readonly terms: readonly string[];
  abstract readonly dimensions: number;
  readonly exchanged: readonly string[] = [];
  readonly featureStage = LAST_STAGE;
  readonly encoders = { query: 'online' };
  readonly host: HostState = {};
  readonly parameters: readonly ParameterGroup[];
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  protected readonly engine: Engine;
  protected readonly options: Options;
  protected readonly network: Network;

  constructor(engine: Engine, options: Options, { resNet, heads, decay }: SingleNetworkParts, seed: number) {
    this.engine = engine;
    this.options = options;
    this.network = new Network(engine, [resNet, ...heads], { bnGroups: options.bnGroups, seed });
    this.parameters = parameterGroups(this.network.parameters, decay);
    this.backbone = new Backbone(this.network, resNet);
    this.sections = { online: this.network.tensors };
  }

  abstract inputs(at: StepAt): NamedTensors;

  abstract step(views: StepViews, inputs: NamedTensors): StepResult;

  settle(): void {}

  advance(): void {}

  dispose(): void {
    this.network.dispose();
  }
}
