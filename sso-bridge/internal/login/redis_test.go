// SPDX-License-Identifier: Apache-2.0

//go:build unix

package login_test

import (
	"testing"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/redisstore"
)

// The races of an attempt on the store that replicas share.
func TestHandlesAreClaimedOnceOnRedis(t *testing.T) {
	url, prefix := testserver.Redis(t)
	db, err := redisdb.Open(t.Context(), redisdb.Options{URL: secret.New(url), KeyPrefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	claimedOnce(t, newReplicated(t, redisstore.Records{DB: db}))
}
