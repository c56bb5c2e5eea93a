/** Which of several processes this is, by the variables of those who start them. */
import { describe, expect, test } from '@jest/globals';
import { readLaunch } from '#dist/train/launch.js';

/** As torchrun 2.11 sets them for the second of two processes of a machine, of four. */
const TORCHRUN = {
  RANK: '3',
  WORLD_SIZE: '4',
  LOCAL_RANK: '1',
  LOCAL_WORLD_SIZE: '2',
  MASTER_ADDR: 'node7',
  MASTER_PORT: '29400',
  TORCHELASTIC_RUN_ID: 'none',
  TORCHELASTIC_RESTART_COUNT: '1',
  TORCHELASTIC_USE_AGENT_STORE: 'True',
};
const SRUN = {
  SLURM_PROCID: '5',
  SLURM_JOB_ID: '4711017',
  SLURM_NTASKS: '8',
  SLURM_STEP_NUM_TASKS: '8',
  SLURM_LOCALID: '1',
  SLURM_STEP_ID: '0',
  SLURM_STEP_NODELIST: 'gpu[03-04,11]',
  SLURM_STEP_TASKS_PER_NODE: '4(x2)',
};

describe('a process of several', () => {
  test('of torchrun, whose own store is at MASTER_PORT: ranks meet at the port after it, each attempt apart', () => {
    expect(readLaunch(TORCHRUN)).toEqual({
      rank: 3,
      size: 4,
      localRank: 1,
      host: 'node7',
      port: 29401,
      attempt: 'none.1',
    });
  });

  test('of a PyTorchJob, one a machine, where nobody serves a store', () => {
    const env = { RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: 'job-master-0', MASTER_PORT: '23456' };
    expect(readLaunch(env)).toMatchObject({ rank: 1, size: 2, localRank: 0, host: 'job-master-0', port: 23456 });
  });

  test('of mpirun on one machine', () => {
    const env = {
      OMPI_COMM_WORLD_RANK: '1',
      OMPI_COMM_WORLD_SIZE: '2',
      OMPI_COMM_WORLD_LOCAL_RANK: '1',
      OMPI_COMM_WORLD_LOCAL_SIZE: '2',
    };
    expect(readLaunch(env)).toMatchObject({ rank: 1, size: 2, localRank: 1, host: '127.0.0.1', port: 29500 });
    expect(() => readLaunch({ ...env, OMPI_COMM_WORLD_LOCAL_SIZE: '1' })).toThrow('MASTER_ADDR is not set');
  });

  test('of srun, which names the machines', () => {
    expect(readLaunch(SRUN)).toMatchObject({ rank: 5, size: 8, localRank: 1, host: 'gpu03', port: 11017 });
    expect(readLaunch({ ...SRUN, SLURM_STEP_NODELIST: 'alpha,beta' })?.host).toBe('alpha');
    expect(readLaunch({ ...SRUN, DETCO_RANKS_PORT: '31000' })?.port).toBe(31000);
  });

  test('is none alone, and none in a script of sbatch, or a shell of salloc, that is not started by srun for all tasks', () => {
    expect(readLaunch({})).toBeUndefined();
    expect(readLaunch({ WORLD_SIZE: '1' })).toBeUndefined();
    expect(readLaunch({ ...SRUN, SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '1' })).toBeUndefined();
    expect(readLaunch({ RANK: '0', WORLD_SIZE: '1' })).toBeUndefined();
    const { SLURM_STEP_ID: _, ...batch } = SRUN;
    expect(readLaunch(batch)).toBeUndefined();
  });

  test.each([
    [{ RANK: 'abc' }, 'WORLD_SIZE is not set, and RANK is "abc": expected a whole number, 1..65536; torchrun sets it'],
    [{ WORLD_SIZE: '2' }, 'RANK is not set, and WORLD_SIZE is "2": expected a whole number, 0..1'],
    [{ ...TORCHRUN, RANK: '4' }, 'RANK is "4": expected a whole number, 0..3'],
    [{ ...TORCHRUN, RANK: '' }, 'RANK is "": expected a whole number, 0..3'],
    [{ ...TORCHRUN, MASTER_PORT: 'any' }, 'MASTER_PORT is "any": expected a whole number, 1..65535'],
    [{ ...TORCHRUN, LOCAL_RANK: '4' }, 'LOCAL_RANK is "4": expected a whole number, 0..3'],
  ])('%j: says which variable is wrong', (env, message) => {
    expect(() => readLaunch(env)).toThrow(message);
  });
});
