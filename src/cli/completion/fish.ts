/** Completion in fish. */
import { allCommands, type CommandNode, type OptionNode, anywhere, type Value } from './tree.js';

/** In single quotes, where fish knows two escapes. */
const quote = (text: string): string => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;

const OFFERS = { files: '-F', folders: "-a '(__fish_complete_directories)'", other: '' } as const;

const offers = (value: Value): string => (typeof value === 'string' ? OFFERS[value] : `-a ${quote(value.join(' '))}`);

export function fishScript(program: CommandNode): string {
  const commands = allCommands(program);
  const { name } = program;
  const paths = commands.slice(1).map(({ path }) => quote(path));
  return `# Completion of ${name} in fish. Written by: ${name} completion fish
function __${name}_in
    set -l command ''
    for word in (commandline -opc)[2..]
        switch "$command $word"
            case ${paths.join(' ')}
                set command "$command $word"
        end
    end
    test "$command" = "$argv[1]"
end

function __${name}_after
    contains -- (string match -- '-*' (commandline -opc))[-1] $argv
end

complete -c ${name} -f
${commands.flatMap((command) => lines(name, command)).join('\n')}
`;
}

function lines(program: string, command: CommandNode): string[] {
  const { path, commands, options } = command;
  const value = anywhere(command);
  const line = (rest: string, where = ''): string => `complete -c ${program} -n ${quote(`__${program}_in '${path}'${where}`)} ${rest}`;
  return [
    ...commands.map(({ name, help }) => line(`-a ${quote(name)} -d ${quote(help)}`)),
    ...options.map((option) => line(optionWords(option))),
    // More words of an option that takes several; those of files are offered anywhere.
    ...options.flatMap(({ names, value: words, variadic }) =>
      variadic && words !== undefined && typeof words !== 'string'
        ? [line(offers(words), `; and __${program}_after ${names.join(' ')}`)]
        : [],
    ),
    ...(value === undefined ? [] : [line(offers(value))]),
  ];
}

function optionWords({ names, help, value }: OptionNode): string {
  const named = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  return [...named, ...(value === undefined ? [] : [`${value === 'files' ? '-r' : '-x'} ${offers(value)}`]), '-d', quote(help)].join(' ');
}
