/** Completion in zsh, by its own _arguments. */
import { allCommands, type CommandNode, type OptionNode, anywhere, type Value } from './tree.js';

/** In single quotes. */
const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** In a specification of _arguments. */
const escape = (text: string): string => text.replaceAll(/[\\[\]:]/g, String.raw`\$&`);

const ACTIONS = { files: '_files', folders: '_files -/', other: ' ' } as const;

const action = (value: Value): string => (typeof value === 'string' ? ACTIONS[value] : `(${value.join(' ')})`);

const functionOf = ({ name }: CommandNode, path: string): string => `_${name}${path.replaceAll(' ', '_')}`;

export function zshScript(program: CommandNode): string {
  const functions = allCommands(program).map((command) => `${functionOf(program, command.path)}() {\n${body(program, command)}\n}\n`);
  const main = functionOf(program, '');
  return `#compdef ${program.name}
# Completion of ${program.name} in zsh. Written by: ${program.name} completion zsh

${functions.join('\n')}
# As a file of fpath it is run at the first completion; else it is read by the shell.
if [[ $funcstack[1] == ${main} ]]; then ${main} "$@"; else compdef ${main} ${program.name}; fi
`;
}

function body(program: CommandNode, command: CommandNode): string {
  const { commands, options } = command;
  const specs = options.map(optionSpec);
  if (commands.length === 0) {
    const value = anywhere(command);
    const rest = value === undefined ? [] : [quote(`*:name:${restAction(value, options)}`)];
    return `  _arguments \\\n    ${[...specs, ...rest].join(' \\\n    ')}`;
  }
  const names = commands.map(({ name, help }) => quote(`${escape(name)}:${help.replaceAll(':', String.raw`\:`)}`));
  const cases = commands.map(({ name, path }) => `    ${quote(name)}) ${functionOf(program, path)} ;;`);
  return `  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
    ${[...specs, quote('1: :->command'), quote('*:: :->arguments')].join(' \\\n    ')}
  case $state in
  command)
    local -a commands
    commands=(
      ${names.join('\n      ')}
    )
    _describe -t commands command commands ;;
  arguments)
    case $line[1] in
${cases.join('\n')}
    esac ;;
  esac`;
}

/** What stands behind the command, where it may be more words of an option that takes several. */
function restAction(value: Value, options: readonly OptionNode[]): string {
  const cases = options.flatMap(({ names, value: words, variadic }) =>
    variadic && words !== undefined && typeof words !== 'string' ? [`(${names.join('|')}) compadd -- ${words.join(' ')} ;;`] : [],
  );
  return cases.length === 0 || value !== 'files' ? action(value) : `{ case \${words[(R)-*]} in ${cases.join(' ')} (*) _files ;; esac }`;
}

/** Each option may come once, but those that take several words. */
function optionSpec({ names, help, value, variadic }: OptionNode): string {
  const excludes = variadic ? '*' : `(${names.join(' ')})`;
  // Without the "=" by which _arguments would write --shards=SPEC: of several words only the first would be of the option then.
  const takes = value === undefined ? '' : `:${escape(names.at(-1) ?? '')}:${action(value)}`;
  const what = `[${escape(help)}]${takes}`;
  return names.length === 1 ? quote(`${excludes}${names[0]}${what}`) : `${quote(excludes)}{${names.join(',')}}${quote(what)}`;
}
