/**
 * Replaces `$(NAME)` by a variable's value; `$$` is a literal `$`, and a reference to something unknown stays as it is.
 * Source: k8s.io/kubernetes/third_party/forked/golang/expansion.
 */
export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$';
    return Object.hasOwn(variables, name) ? variables[name]! : whole;
  });
}
