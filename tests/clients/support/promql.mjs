// Which metrics and labels a PromQL expression asks for, by Prometheus' own grammar.
import assert from "node:assert/strict";
import { parser } from "@prometheus-io/lezer-promql";

/** [{metric, labels: [...]}]: each selector with its matchers, and with the labels by which what it is part of is grouped or joined. */
export function selectorsOf(expression) {
  const tree = parser.parse(expression);
  const text = (node) => expression.slice(node.from, node.to);
  tree.iterate({
    enter(node) {
      assert.ok(!node.type.isError, `no PromQL at ${node.from}: ${expression}`);
    },
  });
  const found = [];
  const walk = (node, outer) => {
    let labels = outer;
    const grouping = [];
    for (let child = node.firstChild; child; child = child.nextSibling)
      if (/^(AggregateModifier|BoolModifier|OnOrIgnoring|MatchingModifierClause)$/.test(child.name))
        child.toTree().iterate({
          enter(inner) {
            if (inner.name === "LabelName") grouping.push(expression.slice(child.from + inner.from, child.from + inner.to));
          },
        });
    labels = [...outer, ...grouping];
    if (node.name === "VectorSelector") {
      const name = node.getChild("Identifier");
      assert.ok(name, `a selector without a name: ${text(node)}`);
      const matchers = [];
      node.toTree().iterate({
        enter(inner) {
          if (inner.name === "LabelName") matchers.push(expression.slice(node.from + inner.from, node.from + inner.to));
        },
      });
      found.push({ metric: text(name), labels: [...new Set([...labels, ...matchers])] });
      return;
    }
    for (let child = node.firstChild; child; child = child.nextSibling) walk(child, labels);
  };
  walk(tree.topNode, []);
  assert.ok(found.length > 0, `nothing is asked for: ${expression}`);
  return found;
}
