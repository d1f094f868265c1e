<?php
// SPDX-License-Identifier: Apache-2.0
//
// Every tenant has the same people, at a domain of its own.
$domain = $_SERVER['SSP_TENANT'] . '.test';
$config = ['example-userpass' => [
    'exampleauth:UserPass',
    'alice:alicepass' => ['uid' => ['alice'], 'email' => ["alice@$domain"], 'name' => ['Alice Liddell'], 'groups' => ['eng', 'admins']],
    'bob:bobpass' => ['uid' => ['bob'], 'email' => ["bob@$domain"], 'name' => ['Bob <b>Builder</b>'], 'groups' => ['eng']],
    'twins:twinspass' => ['uid' => ['twins'], 'email' => ["one@$domain", "other@$domain"], 'name' => ['Twins'], 'ids' => ['1', '2']],
]];
