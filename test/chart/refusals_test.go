// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Sets of values that tests of refusals begin with.
var (
	withURL = []string{"core.config.CONSOLE_API_URL=https://a.example"}
	fleet   = append(withURL, "core.storage.type=postgres", "core.secrets.existingSecret=c")
	ee      = append(fleet, "bridge.enabled=true", "bridge.config.SSO_BRIDGE_PUBLIC_URL=https://b.example", "bridge.secrets.existingSecret=b", "keyset.existingSecret=k")
)

func and(set []string, more ...string) []string { return append(append([]string{}, set...), more...) }

// refusals are combinations that the chart must refuse, with words of the sentence.
var refusals = []struct {
	set  []string
	says string
}{
	{[]string{"core.replicas=2"}, "core.storage.type is embedded, and the embedded store serves one pod"},
	{[]string{"core.autoscaling.enabled=true"}, "core.storage.type is embedded, and the embedded store serves one pod"},
	{and(ee, "bridge.storage.type=embedded"), "bridge.storage.type is embedded, and the embedded store serves one pod"},
	{[]string{"core.migrations.mode=job"}, "core.migrations.mode is job"},
	{and(withURL, "core.secrets.existingSecret=c", "core.secrets.keys.secretKey=", "core.secrets.keys.secretKeyPrevious=p"), "secretKeyPrevious needs secretKey"},
	{[]string{"core.storage.type=postgres"}, "core.secrets.existingSecret is empty"},
	{and(fleet, "core.secrets.keys.databaseUrl="), "core.secrets.keys.databaseUrl is empty"},
	{and(fleet, "core.secrets.keys.redisUrl="), "core has a database without Redis"},
	{and(ee, "bridge.secrets.keys.redisUrl="), "bridge has a database without Redis"},
	{and(fleet, "core.secrets.keys.secretKey="), "secretKey and sealingKey must name the keys"},
	{and(fleet, "core.secrets.keys.sealingKey="), "secretKey and sealingKey must name the keys"},
	{and(fleet, "core.config.REDIS_MODE=sentinel"), "set core.config.REDIS_MASTER_NAME"},
	{and(withURL, "core.secrets.keys.forwardAuthKey=x"), "core.secrets.keys.forwardAuthKey names a key and"},
	{and(fleet, "core.secrets.keys.forwardAuthKey=secret-key"), "one key of the Secret for two secrets"},
	{and(withURL, "core.ca.redis=x"), "core.ca.redis names a key and core.ca.configMap is empty"},
	{and(withURL, "core.extraEnv[0].name=SECRET_KEY", "core.extraEnv[0].value=x"), "a secret stands in no environment"},
	{and(withURL, "core.extraEnv[0].name=DATABASE_URL_FILE", "core.extraEnv[0].value=/x"), "a secret stands in no environment"},
	{and(fleet, "core.autoscaling.enabled=true", "core.autoscaling.minReplicas=7"), "minReplicas is above maxReplicas"},
	{and(fleet, "core.autoscaling.enabled=true", "core.autoscaling.targetCPUUtilizationPercentage=0"), ""},
	{and(fleet, "core.autoscaling.enabled=true", "core.autoscaling.targetCPUUtilizationPercentage=null"), "has nothing to go by"},
	{and(fleet, "core.replicas=2", "core.pdb.minAvailable=2"), "core.pdb forbids every eviction"},
	{and(fleet, "core.replicas=3", "text:core.pdb.minAvailable=90%"), "core.pdb forbids every eviction"},
	{and(fleet, "core.replicas=3", "text:core.pdb.minAvailable=67%"), "core.pdb forbids every eviction"},
	{and(fleet, "core.replicas=2", "core.pdb.maxUnavailable=0"), "core.pdb forbids every eviction"},
	{and(fleet, "core.terminationGracePeriodSeconds=31"), "would kill the process while it drains: it must be above 31 s"},
	{[]string{"core.config.CONSOLE_API_URL=ftp://a.example"}, ""},
	{[]string{"core.config.CONSOLE_API_URL=https://"}, "must be the public address of core"},
	{[]string{"core.config.CONSOLE_API_URL=https://a.example/x"}, "without user, path, query or fragment"},
	{[]string{"core.config.CONSOLE_API_URL=https://u@a.example"}, "without user, path, query or fragment"},
	{[]string{"core.config.CONSOLE_API_URL=http://a.example"}, "core.config.CONSOLE_API_URL is plain http"},
	{[]string{"ingress.enabled=true"}, "is an address of this machine alone"},
	{[]string{"core.service.type=LoadBalancer"}, "is an address of this machine alone"},
	{and(withURL, "core.config.CONSOLE_WEB_URL=https://b.example"), "are on two origins"},
	{and(withURL, "core.config.ENTERPRISE_ENABLED=true"), "The Enterprise Edition needs the key set"},
	{and(ee, "keyset.existingSecret="), "The Enterprise Edition needs the key set"},
	{and(ee, "keyset.existingSecret=c"), "keyset.existingSecret is core.secrets.existingSecret"},
	{and(ee, "keyset.existingSecret=b"), "keyset.existingSecret is bridge.secrets.existingSecret"},
	{and(ee, "bridge.config.SSO_BRIDGE_PUBLIC_URL="), "is not the address under which browsers reach sso-bridge"},
	{and(ee, "bridge.config.SSO_BRIDGE_PUBLIC_URL=https://b.example/sso"), "the bridge's own paths begin with /sso/"},
	{and(ee, "bridge.config.SSO_BRIDGE_PUBLIC_URL=http://b.example"), "SSO_BRIDGE_PUBLIC_URL is plain http"},
	{and(ee, "bridge.config.SSO_BRIDGE_PUBLIC_URL=https://a.example:8443"), "is on core's host and another port"},
	{and(ee, "core.config.SSO_BRIDGE_URL=http://x:1"), "core.config.SSO_BRIDGE_URL is given"},
	{and(ee, "core.config.ENTERPRISE_ENABLED=false"), "core.config.ENTERPRISE_ENABLED is false"},
	{and(ee, "bridge.secrets.existingSecret=c"), "are one Secret"},
	{and(ee, "core.tls.existingSecret=t"), "core.tls is set"},
	{and(ee, "bridge.tls.existingSecret=t"), "bridge.tls is set"},
	{and(withURL, "core.config.ENTERPRISE_ENABLED=true", "keyset.existingSecret=k"), "no bridge is known"},
	{and(withURL, "httpRoute.enabled=true"), "names no Gateway"},
	// What the schema refuses.
	{and(withURL, "core.nope=1"), "additional properties 'nope' not allowed"},
	{and(withURL, "nope=1"), "additional properties 'nope' not allowed"},
	{and(withURL, "core.config.SECRET_KEY=x"), "additional properties 'SECRET_KEY' not allowed"},
	{and(withURL, "core.config.LISTEN=x"), "additional properties 'LISTEN' not allowed"},
	{and(withURL, "core.config.DATA_DIR=x"), "additional properties 'DATA_DIR' not allowed"},
	{and(withURL, "core.config.KEYSET_FILE=x"), "additional properties 'KEYSET_FILE' not allowed"},
	{and(ee, "bridge.config.SECRET_KEY=x"), "additional properties 'SECRET_KEY' not allowed"},
	{and(withURL, "core.config.OAUTH_TTL_DAYS=abc"), "OAUTH_TTL_DAYS"},
	{and(withURL, "core.storage.type=mysql"), "storage"},
	{and(withURL, "core.replicas=0"), "replicas"},
	{and(withURL, "probeClient.through=nowhere"), "through"},
	{and(withURL, `commonLabels.app\.kubernetes\.io/name=x`), "commonLabels has app.kubernetes.io/name"},
	{and(withURL, `core.podLabels.app\.kubernetes\.io/component=x`), "core.podLabels has app.kubernetes.io/component"},
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tool(t, "helm") // where there is none, no sentence is reached
	sentences := sentencesOf(t)
	for _, tc := range refusals {
		t.Run(strings.Join(tc.set[max(0, len(tc.set)-2):], " "), func(t *testing.T) {
			_, err := try(t, "", tc.set...)
			if err == nil {
				t.Fatal("it was rendered")
			}
			said := strings.Join(strings.Fields(err.Error()), " ")
			if !strings.Contains(said, tc.says) {
				t.Errorf("it said %s", said)
			}
			for sentence := range sentences {
				if sentence.MatchString(said) {
					sentences[sentence] = true
				}
			}
		})
	}
	for sentence, reached := range sentences {
		if !reached {
			t.Errorf("no combination here leads to %s", sentence)
		}
	}
}

var failing = regexp.MustCompile(`fail \(?(?:printf )?"((?:[^"\\]|\\.)*)"`)

// sentencesOf are the refusals of the templates, as patterns.
func sentencesOf(t testing.TB) map[*regexp.Regexp]bool {
	t.Helper()
	all := map[*regexp.Regexp]bool{}
	for _, pattern := range []string{"templates/*", "templates/*/*"} {
		files, err := filepath.Glob(filepath.Join(chartDir(), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.Contains(filepath.Base(f), ".") {
				continue
			}
			for _, m := range failing.FindAllStringSubmatch(read(t, f), -1) {
				words := regexp.QuoteMeta(strings.Join(strings.Fields(m[1]), " "))
				all[regexp.MustCompile(regexp.MustCompile(`%[sdv]`).ReplaceAllString(words, `.+`))] = false
			}
		}
	}
	if len(all) < 25 {
		t.Fatalf("%d sentences", len(all))
	}
	return all
}

// Near the edge of what is refused there is what is taken.
func TestWhatIsNotRefused(t *testing.T) {
	t.Parallel()
	for _, set := range [][]string{
		nil, withURL, fleet, ee,
		and(fleet, "core.replicas=3", "text:core.pdb.minAvailable=60%"),
		and(fleet, "core.terminationGracePeriodSeconds=32"),
		and(withURL, "core.config.CONSOLE_WEB_URL=https://A.example/"),
		and(ee, "bridge.config.SSO_BRIDGE_PUBLIC_URL=https://a.example"),
		and(fleet, "core.autoscaling.enabled=true", "core.autoscaling.minReplicas=6"),
	} {
		if _, err := try(t, "", set...); err != nil {
			t.Errorf("%v: %v", set, err)
		}
	}
}
