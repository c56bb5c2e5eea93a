/** Completion in bash 3.2 and newer, by the words alone: bash-completion need not be there. */
import { allCommands, type CommandNode, type Value } from './tree.js';

/** In single quotes. */
const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

const taken = (value: Value): string => (typeof value === 'string' ? `@${value}` : value.join(' '));

export function bashScript(program: CommandNode): string {
  const commands = allCommands(program);
  return `# Completion of ${program.name} in bash. Written by: ${program.name} completion bash
_${program.name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= option= between=0 takes= many= words= options= i word
  COMPREPLY=()
  # bash makes words of their own of the "=" in --option=value.
  [[ $current == '=' ]] && current=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == '=' ]] && continue
    between=$((between + 1))
    [[ $word == -* ]] && option=$word between=0
    case "$command $word" in
      ${commands
        .slice(1)
        .map(({ path }) => quote(path))
        .join(' | ')}) command="$command $word" ;;
    esac
  done
  case "$command $option" in
${valueCases(commands)}
  esac
  # A word that follows the value of an option is none of its.
  [[ $current == -* || ($between -gt 0 && -z $many) ]] && takes=
  if [[ -z $takes ]]; then
    case $command in
${commands.map(commandCase).join('\n')}
    esac
    takes=$words
    [[ $current == -* ]] && takes=$options
  fi
  case $takes in
    # Nothing is found here, so readline completes names of files itself.
    @files) return ;;
    @folders) compopt +o default -o dirnames 2>/dev/null; return ;;
    '' | @other) ;;
    *) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$takes" -- "$current") ;;
  esac
  [[ \${#COMPREPLY[@]} -gt 0 ]] || compopt +o default 2>/dev/null
}
complete -o default -F _${program.name} ${program.name}
`;
}

/** What options take, those that take the same together. */
function valueCases(commands: readonly CommandNode[]): string {
  const patterns = new Map<string, string[]>();
  for (const { path, options } of commands)
    for (const { names, value, variadic } of options) {
      if (value === undefined) continue;
      const does = `takes=${quote(taken(value))}${variadic ? ' many=1' : ''}`;
      patterns.set(does, [...(patterns.get(does) ?? []), ...names.map((name) => quote(`${path} ${name}`))]);
    }
  return [...patterns].map(([does, of]) => `    ${of.join(' | ')}) ${does} ;;`).join('\n');
}

function commandCase({ path, commands, options, argument = [] }: CommandNode): string {
  const words = commands.length > 0 ? commands.map(({ name }) => name).join(' ') : taken(argument);
  return `      ${quote(path)}) words=${quote(words)} options=${quote(options.flatMap(({ names }) => names).join(' '))} ;;`;
}
