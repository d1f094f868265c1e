<?php
// SPDX-License-Identifier: Apache-2.0
//
// Without authproc and NameIDFormat the NameID is transient.
$persistent = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';
$tenant = $_SERVER['SSP_TENANT'];
$own = json_decode(file_get_contents(getenv('SSP_DIR') . '/idps.json'), true)[$tenant] ?? [];
$metadata[getenv('SSP_URL') . '/' . $tenant] = $own + [
    'host' => '__DEFAULT__',
    'privatekey' => 'idp.key',
    'certificate' => 'idp.crt',
    'auth' => 'example-userpass',
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'NameIDFormat' => $persistent,
    'authproc' => [3 => ['class' => 'saml:AttributeNameID', 'attribute' => 'uid', 'Format' => $persistent]],
];
