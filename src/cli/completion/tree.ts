/** What a shell can complete, as plain data: commands, their options, and what these take. */
import type { Argument, Command, Option } from 'commander';
import { choicesOf } from '../choices.js';

/** What may stand in a place: some words, names of files or of folders, or what nobody can guess, such as a number. */
export type Value = readonly string[] | 'files' | 'folders' | 'other';

export interface OptionNode {
  /** `-q` and `--quiet`. */
  readonly names: readonly string[];
  readonly help: string;
  /** Undefined for an option that takes nothing. */
  readonly value?: Value;
  /** Whether it takes all words up to the next option. */
  readonly variadic: boolean;
}

export interface CommandNode {
  /** Names from the program's on, each with a space before it; '' is the program. */
  readonly path: string;
  readonly name: string;
  readonly help: string;
  readonly commands: readonly CommandNode[];
  readonly options: readonly OptionNode[];
  /** What stands behind the command and is no option. */
  readonly argument?: Value;
}

/** Words for options that are not confined to them, by name. */
export type Suggestions = Readonly<Record<string, readonly string[]>>;

export function describeCommand(command: Command, suggestions: Suggestions, path = ''): CommandNode {
  const help = command.createHelp();
  const [argument] = command.registeredArguments;
  return {
    path,
    name: command.name(),
    help: command.description(),
    commands: help.visibleCommands(command).map((child) => describeCommand(child, suggestions, `${path} ${child.name()}`)),
    options: help.visibleOptions(command).map((option) => describeOption(option, suggestions)),
    ...(argument && { argument: argumentValue(argument) }),
  };
}

function describeOption(option: Option, suggestions: Suggestions): OptionNode {
  const { short, long, description, variadic, flags } = option;
  const takes = /[<[](\w+)/.exec(flags)?.[1];
  const value = takes === undefined ? undefined : (choicesOf(option) ?? suggestions[long ?? ''] ?? named(takes));
  return {
    names: [short, long].filter((name) => name !== undefined),
    help: description,
    ...(value !== undefined && { value }),
    variadic: variadic === true,
  };
}

function argumentValue(argument: Argument): Value {
  return argument.argChoices ?? named(argument.name());
}

/** By what usage lines call it. */
function named(placeholder: string): Value {
  if (/^(dir|folder)$/.test(placeholder)) return 'folders';
  return /^(file|path|spec|src|run|runs|weights)$/.test(placeholder) ? 'files' : 'other';
}

/** A command and all within it. */
export function allCommands(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(allCommands)];
}

/** What may stand anywhere behind the command: its argument, or more words of an option that takes several. */
export function anywhere({ argument, options }: CommandNode): Value | undefined {
  return argument ?? (options.some(({ value, variadic }) => variadic && value === 'files') ? 'files' : undefined);
}
