/**
 * Which of several processes this is, as whoever started them says in variables of the environment:
 *
 *   torchrun, PyTorchJob of Kubeflow, --ranks   RANK WORLD_SIZE LOCAL_RANK MASTER_ADDR MASTER_PORT
 *   mpirun of Open MPI                          OMPI_COMM_WORLD_RANK ..._SIZE ..._LOCAL_RANK ..._LOCAL_SIZE
 *   srun                                        SLURM_PROCID SLURM_STEP_NUM_TASKS SLURM_LOCALID SLURM_STEP_NODELIST
 */
import { quoted } from '../common/quoted.js';
import type { CompanyPlace } from '../engine/company.js';
import { OptionsError } from './options-error.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Of torch.distributed, where nobody says another. */
const DEFAULT_PORT = 29500;
/** So many ports from here on are for jobs of Slurm: below those that systems give to whoever asks. */
const JOB_PORTS = 10_000;
const MOST_RANKS = 65536;
const MOST_PORT = 65535;

/** Names of the variables that one launcher sets. */
interface Names {
  readonly launcher: string;
  readonly rank: string;
  readonly size: string;
  readonly localRank: string;
  readonly localSize: string;
}

const TORCH: Names = {
  launcher: 'torchrun',
  rank: 'RANK',
  size: 'WORLD_SIZE',
  localRank: 'LOCAL_RANK',
  localSize: 'LOCAL_WORLD_SIZE',
};
const OPEN_MPI: Names = {
  launcher: 'mpirun',
  rank: 'OMPI_COMM_WORLD_RANK',
  size: 'OMPI_COMM_WORLD_SIZE',
  localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
  localSize: 'OMPI_COMM_WORLD_LOCAL_SIZE',
};
const SLURM: Names = {
  launcher: 'srun',
  rank: 'SLURM_PROCID',
  // SLURM_NTASKS may be that of the whole job, of which a shell is a step with one task.
  size: 'SLURM_STEP_NUM_TASKS',
  localRank: 'SLURM_LOCALID',
  localSize: 'SLURM_NTASKS_PER_NODE',
};

/**
 * @returns undefined where this is the only process
 * @throws OptionsError for variables that do not go together
 */
export function readLaunch(env: Environment = process.env): CompanyPlace | undefined {
  const names = launcherOf(env);
  // WORLD_SIZE=1 alone tells the same as nothing.
  if (names === undefined || (env[names.size] === '1' && env[names.rank] === undefined)) return undefined;
  const { launcher } = names;
  const size = whole(env, names.size, { from: 1, to: MOST_RANKS, launcher, with: names.rank });
  const rank = whole(env, names.rank, { from: 0, to: size - 1, launcher, with: names.size });
  if (size === 1) return undefined;
  const localRank = env[names.localRank] === undefined ? 0 : whole(env, names.localRank, { from: 0, to: size - 1 });
  const oneMachine = env[names.localSize] === String(size);
  const host = env['MASTER_ADDR'] || hostOf(env, names, oneMachine);
  return { rank, size, localRank, host, port: portOf(env), attempt: attemptOf(env) };
}

function launcherOf(env: Environment): Names | undefined {
  if (env[TORCH.rank] !== undefined || env[TORCH.size] !== undefined) return TORCH;
  if (env[OPEN_MPI.rank] !== undefined) return OPEN_MPI;
  // sbatch sets the others for its script too, which is one process: steps alone are started by srun.
  return env[SLURM.rank] !== undefined && env['SLURM_STEP_ID'] !== undefined ? SLURM : undefined;
}

function hostOf(env: Environment, { launcher }: Names, oneMachine: boolean): string {
  const nodes = env['SLURM_STEP_NODELIST'] ?? env['SLURM_JOB_NODELIST'];
  if (launcher === SLURM.launcher && nodes !== undefined) return firstNode(nodes);
  if (oneMachine) return '127.0.0.1';
  throw new OptionsError(
    `MASTER_ADDR is not set: expected the address of the machine of rank 0, or 127.0.0.1 where ${launcher} started all ranks on this one`,
  );
}

/** `node[03-05,9],other` -> `node03` */
function firstNode(list: string): string {
  return list.replace(/^([^,[]*)(?:\[([^\]\-,]+)[^\]]*\])?.*$/s, '$1$2');
}

/** The agent of torchrun serves a store of its own version at MASTER_PORT, which a LibTorch of another does not understand. */
function portOf(env: Environment): number {
  const given = env['DETCO_RANKS_PORT'] === undefined ? 'MASTER_PORT' : 'DETCO_RANKS_PORT';
  const port = env[given] === undefined ? defaultPort(env) : whole(env, given, { from: 1, to: MOST_PORT });
  if (given === 'DETCO_RANKS_PORT' || env['TORCHELASTIC_RUN_ID'] === undefined) return port;
  return port < MOST_PORT ? port + 1 : port - 1;
}

/** Two jobs of Slurm may share a machine. */
function defaultPort(env: Environment): number {
  const job = env[TORCH.rank] === undefined ? Number(env['SLURM_JOB_ID']) : Number.NaN;
  return Number.isInteger(job) ? JOB_PORTS + (job % JOB_PORTS) : DEFAULT_PORT;
}

function attemptOf(env: Environment): string {
  return [env['TORCHELASTIC_RUN_ID'] ?? '', env['TORCHELASTIC_RESTART_COUNT'] ?? '0'].join('.');
}

function whole(
  env: Environment,
  name: string,
  { from, to, launcher, with: beside }: { readonly from: number; readonly to: number; readonly launcher?: string; readonly with?: string },
): number {
  const text = env[name];
  const value = Number(text);
  if (text !== undefined && text.trim() !== '' && Number.isInteger(value) && value >= from && value <= to) return value;
  const other = beside === undefined ? undefined : env[beside];
  const given = text === undefined ? `not set${other === undefined ? '' : `, and ${beside} is ${quoted(other)}`}` : quoted(text);
  const remedy = launcher === undefined ? '' : `; ${launcher} sets it, and without several processes it is to be unset`;
  throw new OptionsError(`${name} is ${given}: expected a whole number, ${from}..${to}${remedy}`);
}
