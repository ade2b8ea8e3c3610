import type { Resource } from '../../operator/kube/resource.ts';

/** CustomResourceDefinitions: the operator itself never touches them. */
export const CRDS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};
