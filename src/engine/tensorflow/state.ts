/** All that `detco doctor` tells of the engine tensorflow: what it runs on, and otherwise the commands that make it run. */
import { COMPILER_PACKAGE, findCompiler } from '../native/toolchain.js';
import { aptLine, type Unavailable } from '../native/unavailable.js';
import { chooseCandidate, forGpu, type Candidate } from './candidate.js';
import { BUILD_COMMAND, CURRENT_COMMAND, GPU_COMMAND } from './commands.js';
import { allOfCuda, cudaRemedy } from './explain.js';
import { locateTensorFlow } from './locate.js';
import { probeAddon, type TensorFlowInfo } from './probe.js';

export interface TensorFlowState {
  /** Undefined when the addon does not load. */
  readonly info?: TensorFlowInfo;
  readonly unavailable?: Unavailable;
  /** The npm package whose binding it is. */
  readonly packageName?: string;
  readonly source?: 'built' | 'installed';
  readonly libraryFolder?: string;
  /** What keeps it from a GPU that it was made for. */
  readonly warnings: readonly string[];
}

/** Loads the addon in a process of its own. @param project the user's folder */
export async function inspectTensorFlowState(
  env: NodeJS.ProcessEnv = process.env,
  project: string = process.cwd(),
): Promise<TensorFlowState> {
  const candidate = chooseCandidate(env, project);
  if ('reason' in candidate) {
    return { unavailable: { ...candidate, remedy: await remedyHere(candidate.remedy, env) }, warnings: [] };
  }
  const info = await probeAddon(candidate, env);
  if ('reason' in info) return { unavailable: info, warnings: [] };
  const { packageName, source, libraryFolder, passedBy } = candidate;
  const aside = passedBy === undefined ? [] : [`what was built is not used: ${passedBy.reason}; ${passedBy.remedy}`];
  const found = { packageName, source, libraryFolder };
  if (info.gpu) return { info, ...found, warnings: aside };
  if (!forGpu(candidate)) return { info: { ...info, gpuReason: 'this TensorFlow is built for CPUs alone' }, ...found, warnings: aside };
  return { info, ...found, warnings: [...aside, ...missingCuda(info, candidate)] };
}

function missingCuda({ missingLibraries, gpuReason = '' }: TensorFlowInfo, candidate: Candidate): string[] {
  // Newer TensorFlows do not name them.
  if (missingLibraries.length === 0 && gpuReason.includes('dlopen')) {
    return [`no GPU, for a library of CUDA's or cuDNN's is not found: ${allOfCuda(candidate)}`];
  }
  return missingLibraries.map((library) => `no GPU, for ${library} is not found: ${cudaRemedy(library, candidate) ?? 'install it'}`);
}

/** The general advice, its command that builds cut down to what this machine lacks. */
async function remedyHere(remedy: string, env: NodeJS.ProcessEnv): Promise<string> {
  const [tensorflow, compiler] = await Promise.all([locateTensorFlow({ env }), findCompiler(env)]);
  const apt = compiler === undefined ? `${aptLine([COMPILER_PACKAGE])} && ` : '';
  return remedy
    .replace(CURRENT_COMMAND, `${apt}${tensorflow === undefined ? CURRENT_COMMAND : BUILD_COMMAND}`)
    .replace(GPU_COMMAND, `${apt}${tensorflow?.cuda === undefined ? GPU_COMMAND : BUILD_COMMAND}`);
}
