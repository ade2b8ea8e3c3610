import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically, type VolumeFile } from './atomic-directory.ts';
import { fieldValue, resourceValue, type PodPlace } from './downward.ts';
import { ConfigurationError, type ObjectSource } from './environment.ts';
import type { Container, DownwardFile, KeyToPath, Pod, Volume, VolumeSource } from './resources.ts';
import type { TokenSource } from './tokens.ts';

export interface Mount {
  source: string;
  target: string;
  readOnly: boolean;
}

export interface PodVolumesOptions {
  directory: string;
  place: PodPlace;
  objects: ObjectSource;
  tokens: TokenSource;
}

/** The volumes of one pod as folders, whose files follow their Secrets, ConfigMaps and fields. */
export class PodVolumes {
  readonly #options: PodVolumesOptions;
  #pod: Pod;
  /** What each volume's files are, as text to compare with. */
  readonly #written = new Map<string, string>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(pod: Pod, options: PodVolumesOptions) {
    this.#pod = pod;
    this.#options = options;
  }

  /**
   * Makes every volume.
   *
   * @throws ConfigurationError for a missing Secret, ConfigMap or key, or a kind of volume there is none of here.
   */
  async prepare(): Promise<void> {
    await this.#inTurn(async () => {
      for (const volume of this.#pod.spec.volumes ?? []) await this.#make(volume);
    });
  }

  /** Brings the files up to date. What is missing by now keeps its last content, as with the kubelet. */
  async refresh(pod: Pod): Promise<void> {
    await this.#inTurn(async () => {
      this.#pod = pod;
      for (const volume of pod.spec.volumes ?? []) {
        try {
          if (!volume.emptyDir && !volume.hostPath) await this.#make(volume);
        } catch (error) {
          if (!(error instanceof ConfigurationError)) throw error;
        }
      }
    });
  }

  /** Whether a change of that Secret or ConfigMap concerns a file. */
  refersTo(kind: 'secret' | 'configMap', name: string): boolean {
    return (this.#pod.spec.volumes ?? []).some((volume) =>
      [volume, ...(volume.projected?.sources ?? [])].some((source) =>
        kind === 'configMap'
          ? source.configMap?.name === name
          : source.secret &&
            ('secretName' in source.secret ? source.secret.secretName : source.secret.name) === name,
      ),
    );
  }

  /** What a container mounts, in the order of its volumeMounts. @throws ConfigurationError for a subPath that isn't there. */
  async mounts(container: Container): Promise<Mount[]> {
    const mounts: Mount[] = [];
    for (const mount of container.volumeMounts ?? []) {
      const volume = this.#pod.spec.volumes?.find((volume) => volume.name === mount.name);
      if (!volume) throw new ConfigurationError(`volume "${mount.name}" not found`);
      const writable = Boolean(volume.emptyDir ?? volume.hostPath);
      const root = volume.hostPath?.path ?? this.#folder(volume);
      const source = mount.subPath ? join(root, mount.subPath) : root;
      if (!(await exists(source))) {
        if (!writable) throw new ConfigurationError(`volume "${mount.name}" has no ${mount.subPath ?? ''}`);
        await mkdir(source, { recursive: true });
      }
      mounts.push({ source, target: mount.mountPath, readOnly: !writable || (mount.readOnly ?? false) });
    }
    return mounts;
  }

  #folder(volume: Volume): string {
    return join(this.#options.directory, volume.name);
  }

  async #make(volume: Volume): Promise<void> {
    if (volume.hostPath) return;
    const folder = this.#folder(volume);
    if (volume.emptyDir) {
      await mkdir(folder, { recursive: true, mode: 0o777 });
      return;
    }
    const files = await this.#files(volume);
    const text = JSON.stringify(
      [...files].map(([path, file]) => [path, file.mode, file.content.toString('base64')]),
    );
    if (this.#written.get(volume.name) === text) return;
    await writeAtomically(folder, files);
    this.#written.set(volume.name, text);
  }

  async #files(volume: Volume): Promise<Map<string, VolumeFile>> {
    const { configMap, secret, downwardAPI, projected } = volume;
    const files = new Map<string, VolumeFile>();
    const mode = (configMap ?? secret ?? downwardAPI ?? projected)?.defaultMode ?? 0o644;
    if (projected) for (const source of projected.sources ?? []) await this.#addSource(files, source, mode);
    else if (secret) {
      const { secretName, ...rest } = secret;
      await this.#addSource(files, { secret: { name: secretName, ...rest } }, mode);
    } else if (configMap) await this.#addSource(files, { configMap }, mode);
    else if (downwardAPI) await this.#addSource(files, { downwardAPI }, mode);
    else {
      const kind = Object.keys(volume).find((key) => key !== 'name');
      throw new ConfigurationError(
        `the local cluster has no volumes of the kind ${kind} (volume "${volume.name}")`,
      );
    }
    return files;
  }

  async #addSource(files: Map<string, VolumeFile>, source: VolumeSource, mode: number): Promise<void> {
    const { objects, tokens } = this.#options;
    const namespace = this.#pod.metadata.namespace!;
    if (source.configMap) {
      const { name, items, optional } = source.configMap;
      const found = objects.configMap(namespace, name);
      if (!found && !optional) throw new ConfigurationError(`configmap "${name}" not found`);
      const content = new Map([
        ...Object.entries(found?.data ?? {}).map(([key, value]) => [key, Buffer.from(value)] as const),
        ...Object.entries(found?.binaryData ?? {}).map(
          ([key, value]) => [key, Buffer.from(value, 'base64')] as const,
        ),
      ]);
      addKeys(files, content, items, { mode, optional: optional ?? false, owner: `configmap "${name}"` });
    }
    if (source.secret) {
      const { name = '', items, optional } = source.secret;
      const found = objects.secret(namespace, name);
      if (!found && !optional) throw new ConfigurationError(`secret "${name}" not found`);
      const content = new Map(
        Object.entries(found?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const),
      );
      addKeys(files, content, items, { mode, optional: optional ?? false, owner: `secret "${name}"` });
    }
    for (const item of source.downwardAPI?.items ?? [])
      files.set(item.path, { content: Buffer.from(this.#downward(item)), mode: item.mode ?? mode });
    if (source.serviceAccountToken) {
      const { path, audience, expirationSeconds } = source.serviceAccountToken;
      const token = await tokens.token(this.#pod, audience, expirationSeconds ?? 3600);
      files.set(path, { content: Buffer.from(token), mode });
    }
  }

  #downward(item: DownwardFile): string {
    const { place } = this.#options;
    if (item.fieldRef) return fieldValue(this.#pod, item.fieldRef, place);
    const reference = item.resourceFieldRef;
    const container = this.#pod.spec.containers.find(
      (container) => container.name === reference?.containerName,
    );
    if (!reference || !container)
      throw new ConfigurationError(`the file ${item.path} refers to no container of the pod`);
    return resourceValue(container, reference, place);
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(task);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

function addKeys(
  files: Map<string, VolumeFile>,
  content: ReadonlyMap<string, Buffer>,
  items: readonly KeyToPath[] | undefined,
  { mode, optional, owner }: { mode: number; optional: boolean; owner: string },
): void {
  if (!items) {
    for (const [key, value] of content) files.set(key, { content: value, mode });
    return;
  }
  for (const item of items) {
    const value = content.get(item.key);
    if (value) files.set(item.path, { content: value, mode: item.mode ?? mode });
    else if (!optional) throw new ConfigurationError(`references non-existent ${owner} key: ${item.key}`);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
