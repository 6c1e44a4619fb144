{{/*
Labels of an object, as OpenFaaS users select them. Call with (dict "root" $ "component" NAME).
*/}}
{{- define "faas.labels" -}}
app: openfaas
component: {{ .component }}
chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
heritage: {{ .root.Release.Service | quote }}
release: {{ .root.Release.Name | quote }}
{{- end }}

{{/*
Labels of a pod. No chart version: a new chart alone must not start pods anew. Call like faas.labels.
*/}}
{{- define "faas.podLabels" -}}
app: {{ .component }}
component: {{ .component }}
release: {{ .root.Release.Name | quote }}
{{- end }}

{{/*
What holds for each of our pods: accounts, users, places. Call with (dict "root" $ "part" VALUES-OF-THE-PART).
*/}}
{{- define "faas.podSpec" -}}
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .root.Values.securityContext }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}
{{- with .part.nodeSelector | default .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations | default .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.affinity | default .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
The rest of Pod Security "restricted", for each container.
*/}}
{{- define "faas.containerSecurity" -}}
{{- if .Values.securityContext -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}
{{- end }}

{{- define "faas.image" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy | default .Values.openfaasImagePullPolicy }}
{{- end }}

{{/*
Environment that all roles share.
*/}}
{{- define "faas.environment" -}}
- name: FAAS_ADMIN
  value: "0.0.0.0:8082"
- name: FAAS_LOG
  value: {{ .Values.log.filter | quote }}
- name: FAAS_LOG_JSON
  value: {{ .Values.log.json | quote }}
- name: function_namespace
  value: {{ .Values.functionNamespace | quote }}
- name: cluster_role
  value: {{ .Values.clusterRole | quote }}
{{- end }}

{{/*
Where the queue is, for gateway and queue worker. The gateway's names: the worker calls the first, and callbacks that go
to one of them are the platform's own.
*/}}
{{- define "faas.queueEnvironment" -}}
{{- $nats := .Values.nats.external -}}
{{- $own := printf "nats.%s" .Release.Namespace -}}
- name: nats_host
  value: {{ ternary $nats.host $own $nats.enabled | quote }}
- name: nats_port
  value: {{ ternary $nats.port 4222 $nats.enabled | toString | quote }}
- name: nats_monitor
  value: {{ ternary $nats.monitor (printf "%s:8222" $own) $nats.enabled | quote }}
{{- if and $nats.enabled $nats.user }}
- name: nats_user
  value: {{ $nats.user | quote }}
{{- end }}
{{- if include "faas.natsSecret" . }}
- name: {{ ternary "nats_password_file" "nats_token_file" (ne $nats.user "") }}
  value: /var/nats/{{ ternary "password" "token" (ne $nats.user "") }}
{{- end }}
- name: nats_unsynced
  value: {{ and $nats.enabled $nats.unsynced | quote }}
- name: gateway_url
  {{- $gateway := printf "http://gateway.%s" .Release.Namespace }}
  value: "{{ $gateway }}:8080,{{ $gateway }}.svc:8080,{{ $gateway }}.svc.{{ .Values.kubernetesDNSDomain }}:8080,http://gateway:8080"
- name: ack_wait
  value: {{ .Values.queueWorker.ackWait | quote }}
{{- end }}

{{/*
The secret of a NATS that was there; "" if there is none.
*/}}
{{- define "faas.natsSecret" -}}
{{- if and .Values.async .Values.nats.external.enabled -}}{{- .Values.nats.external.secret -}}{{- end -}}
{{- end }}

{{- define "faas.natsMount" -}}
- name: nats
  mountPath: /var/nats
  readOnly: true
{{- end }}

{{- define "faas.natsVolume" -}}
- name: nats
  secret:
    secretName: {{ include "faas.natsSecret" . }}
{{- end }}

{{/*
Spread over nodes and zones. Call like faas.podSpec.
*/}}
{{- define "faas.spread" -}}
{{- if .part.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .part.topologySpreadConstraints | nindent 2 }}
{{- else if gt (int .part.replicas) 1 }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    # One node is better than no second copy.
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app: {{ $.component }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Probes on the admin port. There is no program in the image that an exec probe could run.
*/}}
{{- define "faas.probes" -}}
readinessProbe:
  {{- if .Values.httpProbe }}
  httpGet:
    path: /readyz
    port: admin
  {{- else }}
  tcpSocket:
    port: admin
  {{- end }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
livenessProbe:
  {{- if .Values.httpProbe }}
  httpGet:
    path: /healthz
    port: admin
  {{- else }}
  tcpSocket:
    port: admin
  {{- end }}
  # The start is covered by the delay, the rest by patience: a busy node must not kill what works.
  initialDelaySeconds: 5
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/*
Whole seconds, rounded up, of a Go duration or of a number of seconds.
*/}}
{{- define "faas.seconds" -}}
{{- $text := toString . -}}
{{- if regexMatch "^[0-9]+$" $text -}}
{{- $text -}}
{{- else -}}
{{- $units := dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 "us" 0.000001 "µs" 0.000001 "ns" 0.000000001 -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-zµ]+" $text -1 -}}
{{- $seconds = addf $seconds (mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[a-zµ]+$" .))) -}}
{{- end -}}
{{- ceil $seconds | int64 -}}
{{- end -}}
{{- end }}

{{/*
JSON of what is known about the secret basic-auth:
  render    it belongs to this release, or is to
  data      the keys to render, base64
  checksum  changes when gateways have to read it anew
Computed once: the password is random, and secret and checksum must agree.
*/}}
{{- define "faas.basicAuth" -}}
{{- if not (hasKey .Values "basicAuthMemo") -}}
{{- $live := lookup "v1" "Secret" .Release.Namespace "basic-auth" | default dict -}}
{{- $meta := $live.metadata | default dict -}}
{{- $annotations := $meta.annotations | default dict -}}
{{- $owner := printf "%s/%s" (get $annotations "meta.helm.sh/release-namespace") (get $annotations "meta.helm.sh/release-name") -}}
{{- $state := dict "render" false "checksum" "none" -}}
{{- if and $live (eq $owner (printf "%s/%s" .Release.Namespace .Release.Name)) -}}
{{- /* Ours. It stays whatever generateBasicAuth is now: leaving it out would delete it. */ -}}
{{- $state = dict "render" true "data" $live.data -}}
{{- else if $live -}}
{{- /* Made by hand. Its version tells of changes; a hash would tell whoever reads Deployments about a weak password. */ -}}
{{- $state = dict "render" false "checksum" (printf "%s/%s" $meta.uid $meta.resourceVersion) -}}
{{- $deployment := lookup "apps/v1" "Deployment" .Release.Namespace "gateway" | default dict -}}
{{- $was := get (dig "metadata" "annotations" dict $deployment) "faas/basic-auth" -}}
{{- if and (eq $was "generated") (ne (get $annotations "helm.sh/resource-policy") "keep") -}}
{{- printf "this release made the secret basic-auth, and it has been replaced by hand: Helm would delete it now.\nhint: kubectl -n %s annotate secret basic-auth helm.sh/resource-policy=keep" .Release.Namespace | fail -}}
{{- end -}}
{{- else if and .Values.basic_auth .Values.generateBasicAuth -}}
{{- $state = dict "render" true "data" (dict "basic-auth-user" ("admin" | b64enc) "basic-auth-password" (randAlphaNum 32 | b64enc)) -}}
{{- end -}}
{{- if $state.render -}}
{{- $password := get $state.data "basic-auth-password" | default "" | b64dec -}}
{{- if eq (len $password) 32 -}}
{{- $_ := set $state "checksum" (toJson $state.data | sha256sum) -}}
{{- else -}}
{{- /* Set by hand since, and perhaps weak. */ -}}
{{- $_ := set $state "checksum" (printf "%s/%s" $meta.uid $meta.resourceVersion) -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Values "basicAuthMemo" (toJson $state) -}}
{{- end -}}
{{- .Values.basicAuthMemo -}}
{{- end }}

{{/*
Why the custom resource definition is left alone: "" if this release installs it.
*/}}
{{- define "faas.foreignCRD" -}}
{{- if .Values.createCRDs -}}
{{- $live := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "functions.openfaas.com" | default dict -}}
{{- if $live -}}
{{- $annotations := dig "metadata" "annotations" dict $live -}}
{{- $owner := printf "%s/%s" (get $annotations "meta.helm.sh/release-namespace") (get $annotations "meta.helm.sh/release-name") -}}
{{- if eq $owner "/" -}}
it belongs to no release
{{- else if ne $owner (printf "%s/%s" .Release.Namespace .Release.Name) -}}
it belongs to release {{ get $annotations "meta.helm.sh/release-name" }} in namespace {{ get $annotations "meta.helm.sh/release-namespace" }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "faas.startsNats" -}}
{{- if and .Values.async (not .Values.nats.external.enabled) -}}yes{{- end -}}
{{- end }}
