// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
)

func TestStoresOnSQLite(t *testing.T) { storetest.DurableStores(t, storetest.NewSQLitePair) }

func TestStoresOnPostgres(t *testing.T) { storetest.DurableStores(t, storetest.NewPostgresPair) }
